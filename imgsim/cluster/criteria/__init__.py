"""Criteria of how well clusters are separated."""
