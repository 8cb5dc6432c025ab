"""Embedders: transformers that compute float32 embeddings of images."""

from imgsim.embedding._autoencoder_embedder import AutoencoderEmbedder
from imgsim.embedding._color_histogram_embedder import ColorHistogramEmbedder
from imgsim.embedding._image_embedder import ImageEmbedder
from imgsim.embedding.cache._embedding_cache import EmbeddingCache
from imgsim.embedding.pretrained._clear_models import clear_models

__all__ = [
    "AutoencoderEmbedder",
    "ColorHistogramEmbedder",
    "EmbeddingCache",
    "ImageEmbedder",
    "clear_models",
]
