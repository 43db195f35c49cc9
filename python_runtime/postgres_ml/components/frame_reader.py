"""First step of the pipeline in MLflow: a frame from anywhere becomes one like the training's."""

from __future__ import annotations

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
    """

    def __init__(
        self,
        names: tuple[str, ...] = (),
        texts: tuple[str, ...] = (),
        moments: Mapping[str, str] | None = None,
    ) -> None:
        self.names = names
        self.texts = texts
        self.moments = moments

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
