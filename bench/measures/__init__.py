"""The measurements, each a function from where it happens to the figures of its lines."""
