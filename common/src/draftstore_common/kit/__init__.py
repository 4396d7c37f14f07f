"""What any service needs, whatever its domain: application, settings, errors, logging, database, tokens, ids, time."""
