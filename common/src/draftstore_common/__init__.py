"""What every DraftStore service shares: wire models, typed clients, service kit."""
