"""Small collections of images that are available without a network connection."""

from imgsim.datasets._digits import load_digit_images
from imgsim.datasets._installed_photos import load_installed_photos
from imgsim.datasets._photos import load_sample_photos

__all__ = ["load_digit_images", "load_installed_photos", "load_sample_photos"]
