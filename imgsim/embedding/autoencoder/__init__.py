"""A convolutional autoencoder: network, training, checkpoint."""
