"""The public door of DraftStore: API keys, scopes, rate limits, streaming proxy."""
