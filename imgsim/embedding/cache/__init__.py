"""Embeddings on disk: nothing is embedded twice."""
