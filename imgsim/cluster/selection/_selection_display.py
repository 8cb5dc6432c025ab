"""Plot of criteria against the number of clusters."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._optional import import_optional
from imgsim._validation import nearest_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME_OF = {
    "silhouette": "mean silhouette",
    "calinski_harabasz": "Calinski-Harabasz",
    "davies_bouldin": "Davies-Bouldin",
    "inertia": "inertia",
    "gap": "gap",
    "stability": "stability",
}
_AIM_OF = dict.fromkeys(_NAME_OF, "larger is better") | {
    "davies_bouldin": "smaller is better",
    "inertia": "look for the knee",
}


class SelectionDisplay:
    """Curves of criteria against the number of clusters.

    The selected number is marked. Candidates that failed are gray crosses on the axis
    of k. Create a display with :meth:`from_selection`.

    Parameters
    ----------
    table : dict of str to array-like of shape (n_candidates,)
        One row for each candidate, with the columns `k`, one column for each criterion
        and, if known, its standard error, such as `silhouette_se`, and `reason`, which
        is empty unless the candidate failed.

    best_k : int
        The selected number of clusters.

    criterion : str
        The criterion that selected `best_k`, a column of the table.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first axes.

    axes_ : list of matplotlib Axes
        The axes of each criterion.

    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    imgsim.select_k : Compare numbers of clusters.
    SilhouetteDisplay : Draw the silhouettes of one clustering.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, select_k
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.display import SelectionDisplay
    >>> photos = load_sample_photos(n_crops=3, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> selection = select_k(X, range(2, 9), random_state=0)
    >>> ax = SelectionDisplay.from_selection(selection).plot().ax_
    >>> ax.get_legend().get_texts()[0].get_text()
    'best k = 6'
    >>> print(ax.get_ylabel())
    mean silhouette
    (larger is better)
    """

    def __init__(
        self, *, table: Mapping[str, ArrayLike], best_k: int, criterion: str
    ) -> None:
        self.table = table
        self.best_k = best_k
        self.criterion = criterion

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: best_k={self.best_k}>"

    @classmethod
    def from_selection(cls, selection: Any) -> Self:
        """Create a display from the result of :func:`~imgsim.select_k`.

        Parameters
        ----------
        selection : KSelection
            The result of :func:`~imgsim.select_k`.

        Returns
        -------
        display : SelectionDisplay
            Display, to be drawn with :meth:`plot`.
        """
        return cls(
            table=selection.table,
            best_k=selection.best_k,
            criterion=selection.criterion,
        )

    def plot(
        self, *, ax: "Axes | None" = None, criteria: str | Sequence[str] | None = None
    ) -> Self:
        """Draw criteria against the number of clusters.

        Error bars extend one standard error up and down where the error is known.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw a single criterion on. None creates a figure with one panel for
            each criterion.

        criteria : str or sequence of str, default=None
            Columns of the table. None draws the criterion that selected `best_k`.

        Returns
        -------
        display : SelectionDisplay
            The display, with `ax_`, `axes_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.

        ValueError
            If a criterion is not a column of the table, if `criteria` is empty, or if
            `ax` is given for several criteria.
        """
        names = self._checked_names(criteria)
        if ax is not None and len(names) > 1:
            raise ValueError(
                f"criteria={names} must be a single criterion if ax is given. Leave ax "
                f"out to draw each criterion in a panel of its own."
            )
        caller = f"{type(self).__name__}.plot"
        self.axes_ = [ax] if ax is not None else _new_axes(len(names), caller)
        # The legend names the criterion that selected k unless only that one is drawn.
        by = "" if names == [self.criterion] else f" by {_NAME_OF[self.criterion]}"
        for panel, name in zip(self.axes_, names, strict=True):
            self._draw(panel, name, f"best k = {self.best_k}{by}")
        self.axes_[-1].set_xlabel("number of clusters k")
        _draw_legend(self.axes_, above=ax is None)
        self.ax_ = self.axes_[0]
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or a part
        return self

    def _checked_names(self, criteria: str | Sequence[str] | None) -> list[str]:
        if criteria is None:
            criteria = self.criterion
        names = [criteria] if isinstance(criteria, str) else list(criteria)
        known = [name for name in _NAME_OF if name in self.table]
        wrong = [name for name in names if name not in known]
        if not names or wrong:
            raise ValueError(
                f"criteria={criteria!r} must name at least one criterion, and only "
                f"criteria in the table: {known}."
                f"{nearest_name(wrong[0], known) if wrong else ''}"
            )
        return names

    def _draw(self, ax: "Axes", name: str, label_of_best: str) -> None:
        k, values = np.asarray(self.table["k"]), np.asarray(self.table[name], float)
        ax.axvline(self.best_k, color="C1", linewidth=0.8, zorder=0)
        ax.plot(k, values, marker=".", color="C0", zorder=2)
        best = k == self.best_k
        ax.plot(k[best], values[best], "o", color="C1", zorder=3, label=label_of_best)
        self._draw_errors(ax, name, k, values)
        self._draw_failures(ax, k, values)
        ax.set_ylabel(f"{_NAME_OF[name]}\n({_AIM_OF[name]})")
        ax.locator_params(axis="x", integer=True, min_n_ticks=1)

    def _draw_errors(
        self, ax: "Axes", name: str, k: NDArray[Any], values: NDArray[np.float64]
    ) -> None:
        errors = np.asarray(self.table.get(f"{name}_se", np.full(len(k), np.nan)))
        known = np.isfinite(values) & np.isfinite(errors)
        if known.any():
            ax.errorbar(
                k[known],
                values[known],
                errors[known],
                fmt="none",
                ecolor="C0",
                elinewidth=1,
                capsize=2,
                label="± standard error",
            )

    def _draw_failures(
        self, ax: "Axes", k: NDArray[Any], values: NDArray[np.float64]
    ) -> None:
        reasons = np.asarray(self.table.get("reason", [""] * len(k)), dtype=str)
        failed = (reasons != "") & np.isnan(values)
        if failed.any():
            ax.plot(
                k[failed],
                np.full(failed.sum(), 0.04),  # just above the axis
                "x",
                color="0.4",
                transform=ax.get_xaxis_transform(),
                label="failed",
            )


def _new_axes(n_panels: int, caller: str) -> list["Axes"]:
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    axes = pyplot.subplots(
        n_panels,
        sharex=True,
        squeeze=False,
        figsize=(6, 1.7 + 1.8 * n_panels),
        layout="constrained",
    )[1]
    return list(axes[:, 0])


def _draw_legend(axes: Sequence["Axes"], *, above: bool) -> None:
    """Draw one legend for all panels, above the first if there is room."""
    handle_of = {
        label: handle
        for ax in axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    place: dict[str, Any] = {"loc": "best"}
    if above:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 3}
    axes[0].legend(handle_of.values(), handle_of.keys(), fontsize="small", **place)
