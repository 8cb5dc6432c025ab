"""An index in a file: arrays and JSON, with checksums; nothing is executed."""
