"""Removes the bytes of drafts that are due, without listing a bucket."""
