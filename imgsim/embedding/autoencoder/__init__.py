"""A convolutional autoencoder: its network, its training and its checkpoints."""
