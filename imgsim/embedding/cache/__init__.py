"""Cache of embeddings: the SQLite file, access to its rows, and the image loader."""
