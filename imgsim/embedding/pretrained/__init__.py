"""Pretrained networks: timm backbones, weights, layers, pooling, forward passes."""
