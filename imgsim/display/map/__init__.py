"""A map of a collection: projection, layout, drawing and legend."""
