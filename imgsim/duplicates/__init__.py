"""Copies and near copies of images: found, grouped, one of each group kept."""

from imgsim.duplicates._duplicate_group import DuplicateGroup
from imgsim.duplicates._find_duplicates import find_duplicates

__all__ = ["DuplicateGroup", "find_duplicates"]
