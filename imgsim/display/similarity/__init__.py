"""Why two images are similar: contributions of their parts, drawn as heat."""
