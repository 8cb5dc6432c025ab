"""The networks that are kept in memory."""


def clear_models() -> None:
    """Free the networks that embedders keep for each other in this process.

    The last four that were loaded stay in memory, so that clones and embedders with
    equal parameters share one. An embedder that is used again loads its own again.

    Examples
    --------
    >>> from imgsim import ImageEmbedder
    >>> from imgsim.embedding import clear_models
    >>> embedder = ImageEmbedder("resnet18", pretrained=False).fit()
    >>> clear_models()
    """
    from imgsim.embedding.pretrained._network import compiled
    from imgsim.embedding.pretrained._timm_backbone import kept_backbone
    from imgsim.embedding.pretrained._user_module import forget_copies

    kept_backbone.cache_clear()
    compiled.cache_clear()
    forget_copies()
