"""Pictures with frames and marks, and placeholders, on axes that point down."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from imgsim._optional import import_optional
from imgsim._typing import PixelArray
from imgsim.display._text import source_name, wrap
from imgsim.images._thumbnails import stream_thumbnails

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

THUMBNAIL_PIXELS = 192
BOX_GRAY = "0.88"
_FADED_ALPHA = 0.45
_PLACEHOLDER_LINES = 7
_CHECK = ((-0.55, -0.02), (-0.15, -0.42), (0.55, 0.42))
_CROSS = ((-0.4, -0.4), (0.4, 0.4), (0.0, 0.0), (-0.4, 0.4), (0.4, -0.4))


class Rectangle(NamedTuple):
    """A rectangle in data coordinates. The y axis points down."""

    left: float
    top: float
    width: float
    height: float


class FrameStyle(NamedTuple):
    """Color and line of a frame, and the lines of the white mark at its corner."""

    color: str
    line_style: Any
    mark: tuple[tuple[float, float], ...]


# Blue and vermilion of Okabe and Ito, which color-blind readers can tell apart.
RIGHT = FrameStyle("#0072B2", "-", _CHECK)
WRONG = FrameStyle("#D55E00", (0, (2.6, 1.3)), _CROSS)


class Picture(NamedTuple):
    """A thumbnail, or the reason why the image is unreadable."""

    pixels: PixelArray | None
    reason: str = ""

    @property
    def aspect(self) -> float:
        """Width divided by height; 1 for a placeholder."""
        return 1.0 if self.pixels is None else self.pixels.shape[1] / len(self.pixels)


def read_pictures(sources: Sequence[Any]) -> list[Picture]:
    """Return the thumbnail of each image, or the reason why there is none."""
    pictures = [Picture(None)] * len(sources)
    if not len(sources):
        return pictures
    for batch in stream_thumbnails(sources, THUMBNAIL_PIXELS):
        for i, pixels in zip(batch.rows, batch.images, strict=True):
            pictures[i] = Picture(pixels)
        for failure in batch.failures:
            name = source_name(sources[failure.row])
            text = f"{name} unreadable: {failure.reason}".strip()
            pictures[failure.row] = Picture(None, text)
    return pictures


def new_axes(width: float, height: float, caller: str) -> "Axes":
    """Create a figure of a size in inches, filled by its axes."""
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    figure = pyplot.figure(figsize=(width, height))
    axes: Axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    return axes


def prepare_axes(ax: "Axes") -> None:
    """Hide the frame of axes, and let a layout engine move them now."""
    ax.set_axis_off()
    figure = ax.figure.figure  # the root figure, if the axes are in a SubFigure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()


def size_in_points(ax: "Axes", artist: "Artist") -> tuple[float, float]:
    """Return width and height of an artist on axes, or of the axes themselves."""
    extent, points = artist.get_window_extent(), 72 / ax.figure.dpi
    return float(extent.width * points), float(extent.height * points)


def draw_picture(
    ax: "Axes",
    pixels: PixelArray,
    box: Rectangle,
    *,
    is_faded: bool = False,
    frame: FrameStyle | None = None,
) -> None:
    """Draw an image in a rectangle of its proportions."""
    right, bottom = box.left + box.width, box.top + box.height
    alpha = _FADED_ALPHA if is_faded else 1
    extent = (box.left, right, bottom, box.top)
    ax.imshow(pixels, extent=extent, alpha=alpha, origin="upper")
    _draw_box(ax, box, facecolor="none")  # makes white images visible
    if frame is not None:
        width = 1.4 if is_faded else 2.4
        _draw_box(ax, box, facecolor="none", edgecolor="white", linewidth=width)
        edge = {"edgecolor": frame.color, "linestyle": frame.line_style}
        _draw_box(ax, box, facecolor="none", linewidth=width, **edge)


def draw_placeholder(
    ax: "Axes", picture: Picture, box: Rectangle, points: float, size: float
) -> None:
    """Draw a gray box with the reason. The box is `points` wide, in points."""
    _draw_box(ax, box, facecolor=BOX_GRAY)
    center = box.left + box.width / 2, box.top + box.height / 2
    text = ax.text(*center, "", size=size, color="black", ha="center", va="center")
    n_lines = max(min(int(points / (1.35 * size)), _PLACEHOLDER_LINES), 1)
    wrap(text, picture.reason, 0.88 * points, n_lines)


def draw_mark(
    ax: "Axes", column: float, row: float, frame: FrameStyle, size: float
) -> None:
    """Draw a disk of `size` points in the color of a frame, with its mark."""
    from matplotlib.path import Path

    disk: dict[str, Any] = {
        "marker": "o",
        "markersize": size,
        "markeredgecolor": "white",
    }
    ax.plot([column], [row], color=frame.color, markeredgewidth=0.08 * size, **disk)
    mark: dict[str, Any] = {
        "marker": Path(frame.mark),
        "markersize": 0.55 * size,
        "fillstyle": "none",
    }
    ax.plot([column], [row], color="white", markeredgewidth=0.13 * size, **mark)


def _draw_box(ax: "Axes", box: Rectangle, **style: Any) -> None:
    right, bottom = box.left + box.width, box.top + box.height
    columns = [box.left, right, right, box.left]
    rows = [box.top, box.top, bottom, bottom]
    ax.fill(columns, rows, **{"edgecolor": BOX_GRAY, "linewidth": 0.6, **style})
