"""Tenants, API keys and internal tokens of DraftStore."""
