"""A group of images that are copies of each other."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim.export._json_value import to_json_value


@dataclass(frozen=True, eq=False)
class DuplicateGroup:
    """A group of images that are copies of each other.

    Parameters
    ----------
    ids : list
        Ids of the images, in the order of `rows`.

    rows : ndarray of shape (n_images,), dtype int64
        Row numbers of the images in `X`, in increasing order.

    kept : hashable
        Id of the image to keep.

    farthest_pair : tuple
        Ids of the two images with the largest distance.

    distance : float
        Distance between the images of `farthest_pair`, the maximum distance within the
        group. It is 0.0 if all images are exact copies.

    exact_copies : list of list
        Ids of the images that are exact copies of each other, with one list for each
        distinct content that occurs more than once.

    Attributes
    ----------
    extra : list
        Ids of all images except `kept`. None of them is another path of the same file.

    See Also
    --------
    find_duplicates : Find groups of duplicates.

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
        """Return the ids of all images except the one to keep."""
        return [name for name in self.ids if name != self.kept]

    def to_dict(self) -> dict[str, Any]:
        """Return the group as a dictionary that the module `json` can write.

        Returns
        -------
        group : dict
            All parameters and `extra` by name, with lists in place of arrays and
            tuples, and with the strings of ids that are paths.
        """
        names = ("ids", "rows", "kept", "extra", "farthest_pair", "distance")
        group: dict[str, Any] = to_json_value(
            {name: getattr(self, name) for name in (*names, "exact_copies")}
        )
        return group
