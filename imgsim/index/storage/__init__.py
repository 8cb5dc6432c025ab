"""Files of indexes: arrays and JSON with checksums, without executable code."""
