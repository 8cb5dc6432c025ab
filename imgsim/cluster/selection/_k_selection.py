"""The result of `select_k`: the best number of clusters, and all candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgsim.cluster.selection._selection_display import SelectionDisplay
from imgsim.export import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class KSelection:
    """The result of :func:`select_k`.

    Parameters
    ----------
    best_k : int
        The selected number of clusters.

    criterion : str
        The criterion that selected `best_k`.

    table : dict of str to ndarray of shape (n_candidates,)
        One row for each candidate. `print(table)` shows it, `table.to_frame()` returns
        a DataFrame and `table.to_csv(path)` writes a file. Columns:

        - `k`: the candidate;
        - `silhouette`: mean silhouette in [-1, 1], larger is better;
        - `calinski_harabasz`: larger is better;
        - `davies_bouldin`: smaller is better;
        - `inertia`: sum of squared distances to the cluster means; for k = 1, the sum
          of squared distances to the mean of all rows;
        - `gap` or `stability`: larger is better; only if `criterion` names it;
        - `<criterion>_se` after each criterion: its standard error;
        - `n_clusters`: number of clusters found;
        - `sizes`: array of the sizes of the clusters, the largest first;
        - `seconds`: wall-clock time of clustering;
        - `reason`: why a candidate failed, "" if it did not fail. The criteria of a
          candidate that failed are NaN, except the inertia of a single cluster.

    labelings : dict of int to ndarray of shape (n_samples,), dtype int64
        Cluster labels for each k that could be clustered, as numbered by the estimator;
        -1 for noise and for rows that contain NaN.

    best_estimator : object
        The estimator fitted with `best_k`. For the cosine metric, it was fitted on rows
        scaled to unit length; with `n_components`, on principal components.

    See Also
    --------
    select_k : Compare numbers of clusters.
    imgsim.display.SelectionDisplay : Draw the criteria against the number of clusters.

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
        self, *, ax: "Axes | None" = None, criteria: str | Sequence[str] | None = None
    ) -> SelectionDisplay:
        """Draw criteria against k, and mark the selected k.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.

        criteria : str or sequence of str, default=None
            Criteria to draw. None draws the criterion that selected `best_k`.

        Returns
        -------
        display : SelectionDisplay
            The display, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        """
        display = SelectionDisplay.from_selection(self)
        return display.plot(ax=ax, criteria=criteria)
