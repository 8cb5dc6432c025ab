"""Release of the memory of decoders that could decode more frames of a file."""

from typing import Any

from PIL import Image


def release_after_first_frame(image: Image.Image) -> None:
    """Make the decoder of an image release its memory when a frame is decoded.

    The decoders of WebP and AVIF keep up to two images of the size of the file, for the
    frames of an animation that follow. Only the first frame can be loaded then.
    """
    decoder = getattr(image, "_decoder", None)
    if hasattr(decoder, "get_next") or hasattr(decoder, "get_frame"):
        vars(image)["_decoder"] = _DecoderOfOneFrame(decoder)


class _DecoderOfOneFrame:
    """A decoder of Pillow, which is deleted once it has decoded a frame."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def get_next(self) -> Any:
        """Decode the next frame of a WebP file."""
        frame = self._decoder.get_next()
        self._decoder = None
        return frame

    def get_frame(self, index: int) -> Any:
        """Decode a frame of an AVIF file."""
        frame = self._decoder.get_frame(index)
        self._decoder = None
        return frame

    def reset(self) -> None:
        """Do nothing: Pillow goes back to the first frame after an error."""
