"""Decoding of image files: allowed formats, limits, colors, and conversion to RGB."""
