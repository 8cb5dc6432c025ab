"""scikit-learn's base classes, with types: scikit-learn itself ships none.

Without these declarations a type checker takes every estimator for Any, and a
misspelled method or parameter in a caller's code passes unnoticed.
"""

from typing import TYPE_CHECKING, Any

from sklearn.utils import Tags

if TYPE_CHECKING:
    from typing import Literal, Self

    from numpy.typing import ArrayLike, NDArray

    class BaseEstimator:
        """Declares what `sklearn.base.BaseEstimator` gives to an estimator."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Return the parameters of the constructor."""

        def set_params(self, **params: Any) -> Self:
            """Set parameters of the constructor."""

        def get_metadata_routing(self) -> Any:
            """Return how metadata is routed."""

        def set_fit_request(self, **metadata: bool | str | None) -> Self:
            """Request metadata for `fit`."""

        def set_score_request(self, **metadata: bool | str | None) -> Self:
            """Request metadata for `score`."""

        def __sklearn_tags__(self) -> Tags: ...

        def _validate_params(self) -> None: ...

        def _repr_html_(self) -> str: ...

        def __getstate__(self) -> dict[str, Any]: ...

    class TransformerMixin:
        """Declares what `sklearn.base.TransformerMixin` gives to a transformer."""

        def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
            """Fit, then transform the same input."""

        def set_output(
            self, *, transform: "Literal['default', 'pandas', 'polars'] | None" = None
        ) -> Self:
            """Choose the container that `transform` returns."""

    class ClusterMixin:
        """Declares what `sklearn.base.ClusterMixin` gives to a clusterer."""

        def fit_predict(
            self, X: ArrayLike, y: Any = None, **kwargs: Any
        ) -> "NDArray[Any]":
            """Fit, and return the labels."""

    class ClassNamePrefixFeaturesOutMixin:
        """Declares what the mixin of the same name gives to a transformer."""

        def get_feature_names_out(
            self, input_features: "ArrayLike | None" = None
        ) -> "NDArray[Any]":
            """Return the names of the output columns."""

else:
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        ClusterMixin,
        TransformerMixin,
    )

__all__ = [
    "BaseEstimator",
    "ClassNamePrefixFeaturesOutMixin",
    "ClusterMixin",
    "Tags",
    "TransformerMixin",
]
