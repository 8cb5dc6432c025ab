"""Listing, reading and decoding of image files."""

from imgsim.images._read import read_image
from imgsim.images._stream import ImageBatch, ImageFailure, ImageStream
from imgsim.images.listing._files import list_images, load_image_folder

__all__ = [
    "ImageBatch",
    "ImageFailure",
    "ImageStream",
    "list_images",
    "load_image_folder",
    "read_image",
]
