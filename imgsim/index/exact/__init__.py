"""Exact neighbors: every row is compared, or ruled out by a bound."""
