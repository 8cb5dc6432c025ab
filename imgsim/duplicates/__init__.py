"""Detection of exact and near copies of images."""

from imgsim.duplicates._duplicate_group import DuplicateGroup
from imgsim.duplicates._find_duplicates import find_duplicates

__all__ = ["DuplicateGroup", "find_duplicates"]
