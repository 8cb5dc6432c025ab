"""Devices on which networks and matrix products are computed."""


def resolve_device(device: str) -> str:
    """Return `device`; for "auto", the first CUDA device or else the CPU.

    Raises
    ------
    ValueError
        If the device is unknown to torch or cannot be used on this machine.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(
            f"device={device!r} must be 'auto' or a torch device, such as 'cpu', "
            f"'cuda' or 'cuda:1'."
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} requires a CUDA device, and torch does not find one: "
            f"pass device='auto' or 'cpu'."
        )
    return device
