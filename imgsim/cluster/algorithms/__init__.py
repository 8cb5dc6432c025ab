"""Clustering algorithms that ImageClusterer and select_k share."""
