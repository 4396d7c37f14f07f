"""The two-stage upload workflow of DraftStore and its policy."""
