"""Listing of image files: folders, exclusion, links, and extensions."""
