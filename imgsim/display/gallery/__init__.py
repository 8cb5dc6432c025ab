"""A page of a collection: data, templates, styles and scripts in one HTML file."""
