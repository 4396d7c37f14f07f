"""All SQL of metadata-service: `drafts`, `confirm`, `objects`, `due`; what they share is in `rows`."""
