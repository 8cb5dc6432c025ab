"""Selection of the number of clusters by criteria such as the silhouette."""
