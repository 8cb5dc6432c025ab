"""A page for the browser: data, templates, styles and scripts in one HTML file."""
