"""Measurements of cost, each beside a reference in the same run."""
