"""A map of a collection: layout, scene, drawing and legend."""
