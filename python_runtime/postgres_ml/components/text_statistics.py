"""What a text looks like, in numbers: its length, capitals, digits and punctuation.

A fitted pipeline contains the transformer, so it is pickled and parsed. What is counted stands in
`program.characters`, which SQL and C have as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from postgres_ml.program.characters import CLASSES, count_characters
from postgres_ml.program.raw_values import is_null

Floats = npt.NDArray[np.float64]


class TextStatistics(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """How many characters of each class text columns have: 39 numbers of each column.

    These are all characters (code points), capitals, the digits 0 to 9, characters beyond ASCII, then each
    tab, line feed, blank and punctuation mark of ASCII by itself. A missing text has zeros in all columns, as
    an empty one has.

    Attributes
    ----------
    n_features_in_ : int
    """

    def fit(self, X: Any, y: Any = None) -> TextStatistics:
        """Remember the columns; nothing is learned of their texts."""
        validate_data(self, X, skip_check_array=True)
        return self

    def transform(self, X: Any) -> Floats:
        """Return the counts of the first column, then of the second; shape (n_rows, 39 * n_columns)."""
        check_is_fitted(self)
        validate_data(self, X, reset=False, skip_check_array=True)
        values = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X, dtype=object)
        nothing = [0] * len(CLASSES)
        rows = [
            [nothing if is_null(text) else count_characters(text, CLASSES) for text in row] for row in values
        ]
        counts = np.array(rows, dtype=np.float64)
        return counts.reshape(len(values), len(CLASSES) * self.n_features_in_)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return '<column>: <class>' for each output."""
        check_is_fitted(self)
        known = getattr(self, "feature_names_in_", None)
        given = known if input_features is None else input_features
        names = [f"x{n}" for n in range(self.n_features_in_)] if given is None else given
        shown = [name if len(name) > 1 else repr(name) for name in CLASSES]
        return np.array([f"{name}: {kind}" for name in names for kind in shown], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")
