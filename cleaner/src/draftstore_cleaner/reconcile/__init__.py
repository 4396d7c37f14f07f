"""Compares buckets with rows: finds bytes no row wants and rows whose bytes are not there. Separate from cleaning."""
