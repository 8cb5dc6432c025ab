"""Function that frees the memory of the networks that are kept."""


def clear_models() -> None:
    """Remove from memory the networks that embedders share.

    A process keeps the last four networks that were loaded, so that clones and
    embedders with equal parameters share one network. An embedder that is used after
    this call loads its network again.

    Examples
    --------
    >>> from imgsim import ImageEmbedder
    >>> from imgsim.embedding import clear_models
    >>> embedder = ImageEmbedder("tf_efficientnet_lite0").fit()
    >>> clear_models()
    """
    from imgsim.embedding.pretrained._network import compile_network
    from imgsim.embedding.pretrained._timm_backbone import clear_backbones
    from imgsim.embedding.pretrained._user_module import clear_copies

    clear_backbones()
    compile_network.cache_clear()
    clear_copies()
