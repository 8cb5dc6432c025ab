"""Export of results as tables, CSV files and folders of images."""

from imgsim.export._copy_to_folders import copy_to_folders
from imgsim.export._label_table import label_table
from imgsim.export._table import Table

__all__ = ["Table", "copy_to_folders", "label_table"]
