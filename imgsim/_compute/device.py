"""Devices: where networks and products of matrices are computed."""


def resolve_device(device: str) -> str:
    """Return `device`, or for "auto" the first CUDA device if there is one.

    Raises
    ------
    ValueError
        If torch does not know the device, or cannot use it on this machine.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(
            f"device={device!r} must be 'auto' or a device of torch, such as 'cpu', "
            f"'cuda' or 'cuda:1'."
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} requires a CUDA device, and torch does not find one: "
            f"pass device='auto' or 'cpu'."
        )
    return device
