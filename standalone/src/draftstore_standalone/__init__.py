"""PostgreSQL, SeaweedFS and every DraftStore service, started by one command."""
