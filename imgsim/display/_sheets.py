"""Layout of a page of sheets: for each cluster a title above rows of pictures."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from math import sqrt
from typing import NamedTuple

from imgsim.display._pictures import Rectangle

# Lengths are in inches.
_GAP = 0.05  # between pictures
_GUTTER = 0.3  # between columns of sheets
_BELOW_SHEET = 0.14
_TITLE_SHARE = 0.36  # height of a title, as a share of the height of a picture
_LARGEST_TITLE = 0.28
_LARGEST_STRETCH = 1.5  # of a row, to fill the width of its sheet
_MIN_COLUMN = 1.5  # width of a column of sheets
_COMFORTABLE_SIZE = 0.65  # of pictures; larger ones need not have more columns
_PRECISION = 0.01
_STEPS = tuple(0.94**n for n in range(40))  # relative heights that are tried


class Page(NamedTuple):
    """Height of a page, and the places of its content, for each sheet.

    `column_width` and `title_height` are the room for a title, and `titles` contains
    its upper left corner. `pictures` contains a rectangle for each picture.
    """

    height: float
    column_width: float
    title_height: float
    titles: list[tuple[float, float]]
    pictures: list[list[Rectangle]]

    @property
    def right(self) -> float:
        """Right edge of the content, where titles are as wide as their column."""
        lefts = [left for left, _ in self.titles]
        edges = [b.left + b.width for boxes in self.pictures for b in boxes]
        return max([*edges, max(lefts) + min(self.column_width, 3.2)])

    @property
    def smallest_size(self) -> float:
        """Size of the pictures on the sheet where they are smallest.

        It is the mean side of squares with the areas of the pictures.
        """
        return min(
            sum(sqrt(box.width * box.height) for box in boxes) / len(boxes)
            for boxes in self.pictures
        )


def lay_out_page(
    aspects: Sequence[Sequence[float]],
    width: float,
    max_height: float,
    largest: float,
    n_columns: int | None = None,
) -> Page:
    """Arrange sheets in a few columns, with large pictures that fit on the page.

    Parameters
    ----------
    aspects : sequence of sequences of float
        Width divided by height of each picture of each sheet.

    width, max_height : float
        Size of the page. If even the smallest pictures do not fit, the page is higher.

    largest : float
        Largest height of a picture.

    n_columns : int, default=None
        Number of pictures in a row. None chooses it by the widths of the pictures.

    Returns
    -------
    page : Page
        The layout. Its height is at most `max_height` if the sheets fit.
    """
    counts = range(1, max(int((width + _GUTTER) / (_MIN_COLUMN + _GUTTER)), 1) + 1)
    pages = []
    for count in counts[: len(aspects)]:
        lay_out = partial(_lay_out, aspects, width, count=count, n_columns=n_columns)
        heights = [largest * step for step in _STEPS]
        i = bisect_left(
            heights, True, key=lambda height: lay_out(height).height <= max_height
        )
        pages.append(lay_out(heights[min(i, len(heights) - 1)]))
    fitting = [page for page in pages if page.height <= max_height]
    if not fitting:
        return min(pages, key=lambda page: page.height)
    large = [page for page in fitting if page.smallest_size >= _COMFORTABLE_SIZE]
    return large[0] if large else max(fitting, key=lambda page: page.smallest_size)


def _lay_out(
    aspects: Sequence[Sequence[float]],
    width: float,
    height: float,
    *,
    count: int,
    n_columns: int | None,
) -> Page:
    """Arrange sheets in `count` columns, with pictures of about a height."""
    column_width = (width - (count - 1) * _GUTTER) / count
    title = min(_TITLE_SHARE * height, _LARGEST_TITLE)
    sheets = [_make_sheet(some, column_width, height, n_columns) for some in aspects]
    heights = [
        title + max(box.top + box.height for box in sheet) + _BELOW_SHEET
        for sheet in sheets
    ]
    titles: list[tuple[float, float]] = []
    page_height = 0.0
    for column, members in enumerate(_divide(heights, count)):
        top = 0.0
        for i in members:
            titles.append((column * (column_width + _GUTTER), top))
            top += heights[i]
        page_height = max(page_height, top)
    pictures = [
        [box._replace(left=left + box.left, top=top + title + box.top) for box in sheet]
        for sheet, (left, top) in zip(sheets, titles, strict=True)
    ]
    return Page(page_height, column_width, title, titles, pictures)


def _make_sheet(
    aspects: Sequence[float], width: float, height: float, n_columns: int | None
) -> list[Rectangle]:
    """Arrange pictures in rows that fill the width. The last row may be shorter."""
    boxes: list[Rectangle] = []
    top, above = 0.0, height
    for row in _rows(aspects, width, height, n_columns):
        n = n_columns or len(row)
        mean = sum(aspects[i] for i in row) / len(row)
        filling = (width - (n - 1) * _GAP) / (n * mean)
        is_last = bool(boxes) and len(row) < n
        if filling > _LARGEST_STRETCH * above or is_last:
            filling = above
        left = 0.0
        for i in row:
            boxes.append(Rectangle(left, top, aspects[i] * filling, filling))
            left += aspects[i] * filling + _GAP
        top += filling + _GAP
        above = filling
    return boxes


def _rows(
    aspects: Sequence[float], width: float, height: float, n_columns: int | None
) -> Sequence[Sequence[int]]:
    """Divide pictures into rows of about `height`, unless their number is given."""
    if n_columns is not None:
        starts = range(0, len(aspects), n_columns)
        return [range(i, min(i + n_columns, len(aspects))) for i in starts]
    widths = [aspect * height + _GAP for aspect in aspects]
    return _divide(widths, max(round(sum(widths) / width), 1))


def _divide(lengths: Sequence[float], n: int) -> list[list[int]]:
    """Divide a sequence into at most `n` parts, so that the longest is short."""
    low, high = max(lengths), sum(lengths)
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if len(_fill(lengths, middle)) <= n:
            high = middle
        else:
            low = middle
    return _fill(lengths, high)


def _fill(lengths: Sequence[float], limit: float) -> list[list[int]]:
    """Divide a sequence into parts, each of which is as long as a limit allows."""
    parts: list[list[int]] = [[]]
    filled = 0.0
    for i, length in enumerate(lengths):
        if parts[-1] and filled + length > limit:
            parts.append([])
            filled = 0.0
        parts[-1].append(i)
        filled += length
    return parts
