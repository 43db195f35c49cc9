"""A forecast's values as MLflow keeps them: the table that the function returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator


class ForecastTable(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Answers with the rows of a forecast, whatever Postgres is reachable.

    Parameters
    ----------
    columns : lists of one length, by name: series columns and times as text, values as numbers
    steps : ahead of each row's series, 1 and on
    """

    def __init__(self, columns: dict[str, list[Any]], steps: list[int]) -> None:
        self.columns = columns
        self.steps = steps

    def fit(self, frame: Any, target: Any = None) -> ForecastTable:
        """Return itself: there is nothing to fit."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows up to the greatest value of the column `horizon`; all where that is missing."""
        asked = pd.to_numeric(frame["horizon"]).max()
        kept = np.asarray(self.steps) <= (np.inf if pd.isna(asked) else asked)
        return pd.DataFrame(self.columns)[kept].reset_index(drop=True)
