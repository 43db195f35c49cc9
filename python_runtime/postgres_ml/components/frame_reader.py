"""First steps of pipelines that got their frames elsewhere than here, or get them from elsewhere now.

`FrameReader` makes a frame of any driver one like the training's; `FrameTypes` makes that one like those that
a pipeline was fitted on which was fitted elsewhere, or by a user's own code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from postgres_ml.program.raw_values import read_instants


class FrameReader(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Reads numbers, booleans, text, dates and times however a driver or a file brought them.

    psycopg2 gives None, bool and Decimal, pandas gives int64, Int64, str and category, and MLflow's signature
    would refuse an integer where it saw a double. All of that becomes float64 with NaN, and str objects
    with None; dates and times become datetime64[us] in UTC with NaT.

    Parameters
    ----------
    names : all columns, in the order of the training
    texts : those that are text
    moments : those that are dates or times: name -> 'date', 'time', 'timestamp' or 'timestamptz'
    returns : SQL type of a predicted number; '' of labels
    """

    def __init__(
        self,
        names: tuple[str, ...] = (),
        texts: tuple[str, ...] = (),
        moments: Mapping[str, str] | None = None,
        returns: str = "",
    ) -> None:
        self.names = names
        self.texts = texts
        self.moments = moments
        self.returns = returns

    def fit(self, X: pd.DataFrame, y: Any = None) -> FrameReader:
        """Return itself, so there is nothing to learn."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the frame as in training; other columns are ignored, missing ones are NULL."""
        return pd.DataFrame({name: self._read(X, name) for name in self.names}, index=X.index)

    def _read(self, frame: pd.DataFrame, name: str) -> pd.Series:
        missing = None if name in self.texts else np.nan
        if name in frame:
            objects = frame[name].to_numpy(dtype=object, copy=True)
            objects[frame[name].isna().to_numpy()] = missing
        else:
            objects = np.full(len(frame), missing, dtype=object)
        kind = (self.moments or {}).get(name)
        if kind is not None:
            return pd.Series(read_instants(objects, kind), index=frame.index)
        values = pd.Series(objects, index=frame.index, dtype=object)  # else pandas 3 makes it str, with NaN
        return values if name in self.texts else values.astype(np.float64)


class FrameTypes(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The columns as the pipeline was fitted on them: its own missing value, its own categories.

    Libraries tell None from NaN, and a category from a text.

    Parameters
    ----------
    names : all columns, in the order of the fit
    nulls : of columns of objects, the missing value: 'nan' (in pandas' str and category too) or 'none'; of
        columns that aren't named it is what our own frames have
    categories : of columns of dtype category that a booster encodes itself, an array in the order of codes
    """

    def __init__(
        self,
        names: tuple[str, ...] = (),
        nulls: Mapping[str, str] | None = None,
        categories: Mapping[str, Any] | None = None,
    ) -> None:
        self.names = names
        self.nulls = nulls
        self.categories = categories

    def fit(self, X: pd.DataFrame, y: Any = None) -> FrameTypes:
        """Return itself, so there is nothing to learn."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def feature_names_in_(self) -> Any:
        """Names of the columns."""
        return np.array(self.names, dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of columns."""
        return len(self.names)

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with these columns replaced.

        Raises
        ------
        TypeError
            X is no frame.
        """
        if not isinstance(X, pd.DataFrame):
            raise TypeError("a frame is needed")
        replaced = {name: _of_objects(X[name], null) for name, null in (self.nulls or {}).items()}
        coded = {name: _categorical(X[name], known) for name, known in (self.categories or {}).items()}
        return X.assign(**replaced, **coded)


def _of_objects(values: pd.Series, null: str) -> pd.Series:
    objects = values.to_numpy(dtype=object, copy=True)
    objects[values.isna().to_numpy()] = math.nan if null == "nan" else None
    return pd.Series(objects, index=values.index, dtype=object)


def _categorical(values: pd.Series, known: Any) -> pd.Series:
    """Return the values with the categories of the fit; what else there is becomes one more category.

    So does `astype('category')`, and it is the library that says what a category means that it hasn't seen.
    """
    codes = {value: code for code, value in enumerate(known.tolist())}
    found = [
        -1 if null else codes.setdefault(value, len(codes))
        for value, null in zip(values.tolist(), values.isna().tolist(), strict=True)
    ]
    names = pd.Index(list(codes))
    if known.dtype.kind in "iu":
        same = names.astype(known.dtype)
        names = same if (same == names).all() else names
    return pd.Series(pd.Categorical.from_codes(found, categories=names), index=values.index)
