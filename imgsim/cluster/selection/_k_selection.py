"""What a comparison of numbers of groups found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgsim.cluster.selection._selection_display import SelectionDisplay
from imgsim.export._table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class KSelection:
    """The outcome of :func:`select_k`.

    Parameters
    ----------
    best_k : int
        The candidate that the criterion prefers.

    criterion : str
        What decided.

    table : dict of str to ndarray of shape (n_candidates,)
        A row a candidate; `print(table)` shows it, `table.to_frame()` is a DataFrame
        and `table.to_csv(path)` a file. Columns:

        - `k`: the candidate;
        - `silhouette`: mean silhouette in [-1, 1], larger is better;
        - `calinski_harabasz`: larger is better;
        - `davies_bouldin`: smaller is better;
        - `inertia`: sum of squared distances from the means of the groups;
        - `gap`, `stability`: larger is better; only if asked for by `criterion`;
        - `<criterion>_se` after each: its standard error;
        - `n_clusters`: number of groups found;
        - `sizes`: their sizes, an array each, the largest first;
        - `seconds`: wall-clock time of clustering;
        - `reason`: why a candidate failed, "" if it did not. Its criteria are NaN.

    labelings : dict of int to ndarray of shape (n_samples,), dtype int64
        The groups for each k that could be clustered, as the estimator numbers them;
        -1 for noise and for rows that hold NaN.

    best_estimator : object
        The estimator fitted with `best_k`; for the cosine metric, on rows of unit
        length, and reduced as asked.

    See Also
    --------
    select_k : Computes it.
    imgsim.display.SelectionDisplay : Draws it.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim.cluster import select_k
    >>> X = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2, 9.0, 9.1, 9.2])[:, np.newaxis]
    >>> selection = select_k(X, range(2, 5), metric="euclidean", random_state=0)
    >>> selection.best_k, selection.table["silhouette"].round(2).tolist()
    (3, [0.74, 0.97, 0.7])
    """

    best_k: int
    criterion: str
    table: Table = field(repr=False)
    labelings: dict[int, NDArray[np.int64]] = field(repr=False)
    best_estimator: Any = field(repr=False)

    def plot(
        self, *, ax: "Axes | None" = None, criteria: Sequence[str] | None = None
    ) -> SelectionDisplay:
        """Draw criteria against k, the chosen k marked.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        criteria : sequence of str, default=None
            What to draw. None draws the criterion that decided.

        Returns
        -------
        display : SelectionDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing.
        """
        display = SelectionDisplay.from_selection(self)
        return display.plot(ax=ax, criteria=criteria)
