"""Exact nearest neighbors: by brute force, or by a scan with an error bound."""
