"""scikit-learn's base classes, with the type annotations that scikit-learn lacks.

Without these declarations, a type checker treats every estimator as Any, and does not
report a misspelled method or parameter in a caller's code.
"""

import re
from typing import TYPE_CHECKING, Any

from sklearn.utils import Tags, estimator_html_repr

_N_FEATURES = re.compile(r"(<div>(?:[\d,]+ of )?[\d,]+) feature(s?</div>)")

if TYPE_CHECKING:
    from typing import Literal, Self

    from numpy.typing import ArrayLike, NDArray

    class BaseEstimator:
        """Declares the methods of `sklearn.base.BaseEstimator`."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Return the parameters of the constructor."""

        def set_params(self, **params: Any) -> Self:
            """Set parameters of the constructor."""

        def get_metadata_routing(self) -> Any:
            """Return how metadata is routed."""

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Set the callbacks that `fit` notifies, with scikit-learn 1.9 or later."""

        def set_fit_request(self, **metadata: bool | str | None) -> Self:
            """Request metadata for `fit`."""

        def set_score_request(self, **metadata: bool | str | None) -> Self:
            """Request metadata for `score`."""

        def __sklearn_tags__(self) -> Tags: ...

        def _validate_params(self) -> None: ...

        def _repr_html_(self) -> str: ...

        def __getstate__(self) -> dict[str, Any]: ...

    class TransformerMixin:
        """Declares the methods of `sklearn.base.TransformerMixin`."""

        def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
            """Fit, then transform the same input."""

        def set_output(
            self, *, transform: "Literal['default', 'pandas', 'polars'] | None" = None
        ) -> Self:
            """Choose the container that `transform` returns."""

    class ClusterMixin:
        """Declares the methods of `sklearn.base.ClusterMixin`."""

        def fit_predict(
            self, X: ArrayLike, y: Any = None, **kwargs: Any
        ) -> "NDArray[Any]":
            """Fit, and return the labels."""

    class ClassNamePrefixFeaturesOutMixin:
        """Declares the method of the mixin of the same name in `sklearn.base`."""

        def get_feature_names_out(
            self, input_features: "ArrayLike | None" = None
        ) -> "NDArray[Any]":
            """Return the names of the output columns."""

else:
    from sklearn import base
    from sklearn.base import (
        ClassNamePrefixFeaturesOutMixin,
        ClusterMixin,
        TransformerMixin,
    )

    try:
        from sklearn.callback import CallbackSupportMixin

        _MIXINS = (CallbackSupportMixin,)
    except ImportError:  # scikit-learn < 1.9
        _MIXINS = ()

    class BaseEstimator(*_MIXINS, base.BaseEstimator):
        """scikit-learn's base class, with callbacks if there are any.

        In a notebook, scikit-learn's diagram calls the output columns features, even if
        a column is the distance from a row or a cluster. `_output_name` is the right
        word.
        """

        _output_name = "feature"

        def _html_repr(self) -> str:
            diagram = estimator_html_repr(self)
            return _N_FEATURES.sub(rf"\1 {self._output_name}\2", diagram)


__all__ = [
    "BaseEstimator",
    "ClassNamePrefixFeaturesOutMixin",
    "ClusterMixin",
    "Tags",
    "TransformerMixin",
]
