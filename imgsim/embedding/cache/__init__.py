"""The cache of embeddings: a SQLite file, its rows, and the loader that uses them."""
