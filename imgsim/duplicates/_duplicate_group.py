"""What a group of duplicates consists of."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class DuplicateGroup:
    """Images that are copies of each other, as :func:`find_duplicates` returns them.

    Parameters
    ----------
    ids : list
        Ids of the images, in the order of their rows.

    rows : ndarray of shape (n_images,), dtype int64
        Their row numbers, increasing.

    kept : hashable
        Id of the image to keep.

    farthest_pair : tuple
        Ids of the two images that are furthest apart.

    distance : float
        Their distance, the largest within the group; 0.0 if all are exact copies.

    exact_copies : list of list
        Ids of images whose content is equal, a list for each content that two images
        or more have.

    Attributes
    ----------
    extra : list
        Ids of the images not to keep.

    See Also
    --------
    find_duplicates : Finds them.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim.duplicates import find_duplicates
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [0.1, 1.0], [0.0, 1.0]])
    >>> (group,) = find_duplicates(X, max_distance=0.1, ids=["a", "b", "c", "d"])
    >>> group.kept, group.extra, group.exact_copies
    ('a', ['c', 'd'], [['a', 'd']])
    >>> group.farthest_pair, round(group.distance, 4)
    (('a', 'c'), 0.005)
    """

    ids: list[Any]
    rows: NDArray[np.int64] = field(repr=False)
    kept: Hashable
    farthest_pair: tuple[Any, Any]
    distance: float
    exact_copies: list[list[Any]]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    @property
    def extra(self) -> list[Any]:
        """Return the ids of the images not to keep."""
        return [name for name in self.ids if name != self.kept]
