"""Image similarity and clustering with scikit-learn's interface.

Files become pixels, pixels embeddings, embeddings neighbours and groups, and all of
it figures: each arrow is one subpackage.
"""

from imgsim.cluster import ImageClusterer, select_k
from imgsim.duplicates import find_duplicates
from imgsim.embedding import (
    AutoencoderEmbedder,
    ColorHistogramEmbedder,
    EmbeddingCache,
    ImageEmbedder,
)
from imgsim.exceptions import ImageReadError
from imgsim.export import copy_to_folders, label_table
from imgsim.images import list_images, load_image_folder, read_image
from imgsim.index import SimilarityIndex

__all__ = [
    "AutoencoderEmbedder",
    "ColorHistogramEmbedder",
    "EmbeddingCache",
    "ImageClusterer",
    "ImageEmbedder",
    "ImageReadError",
    "SimilarityIndex",
    "copy_to_folders",
    "find_duplicates",
    "label_table",
    "list_images",
    "load_image_folder",
    "read_image",
    "select_k",
]

__version__ = "0.1.0.dev0"
