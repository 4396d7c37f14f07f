"""The state of DraftStore in PostgreSQL: drafts, objects, events."""
