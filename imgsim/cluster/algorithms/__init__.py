"""Clustering algorithms: one registry, and what scikit-learn lacks."""
