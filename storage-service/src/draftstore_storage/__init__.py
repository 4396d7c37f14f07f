"""Object storage behind DraftStore: presign, head, copy, delete."""
