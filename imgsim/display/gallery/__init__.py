"""A gallery page for the browser: its data, and templates of HTML, CSS and scripts."""
