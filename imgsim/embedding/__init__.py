"""Pixels become rows: transformers from images to float32 embeddings."""

from imgsim.embedding._color_histogram import ColorHistogramEmbedder
from imgsim.embedding._image_embedder import ImageEmbedder

__all__ = ["ColorHistogramEmbedder", "ImageEmbedder"]
