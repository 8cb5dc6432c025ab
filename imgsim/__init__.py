"""Image similarity search, duplicate detection and clustering.

imgsim computes embeddings of images, and uses them to search for similar images, to
find copies, to cluster a collection and to visualize it. Its estimators follow the
API of scikit-learn and can be used in pipelines and grid searches.
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
