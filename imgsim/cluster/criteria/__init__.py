"""Criteria of how well groups stand apart."""
