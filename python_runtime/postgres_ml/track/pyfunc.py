"""What MLflow loads as the pyfunc of a registered model: it predicts as the SQL function does.

Its source travels with each model (MLflow's code_paths), so that the model loads where this package isn't
installed; it imports nothing that the model's requirements don't bring.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if

from postgres_ml.serve.scorer import by_halves
from postgres_ml.serve.values import REFUSALS, writer

#: of MLflow's `predict`: probabilities instead of labels
PROBABILITIES = "proba"
#: of MLflow's `predict`: whether rows are anomalies instead of scores
IS_ANOMALY = "is_anomaly"
#: SQL types of which a number is made as Postgres casts
CONVERTED = ("smallint", "integer", "bigint", "real")


class BoosterModel(BaseEstimator):  # type: ignore[misc]
    """A lightgbm Booster, or a graph in ONNX, as the last step of a pipeline.

    Parameters
    ----------
    booster : trained; a graph that has probabilities has `predict_proba` and `classes_`
    """

    def __init__(self, booster: Any = None) -> None:
        self.booster = booster

    def fit(self, X: Any, y: Any = None) -> BoosterModel:
        """Return itself: it is trained."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> Any:
        """Return the booster's predictions."""
        return self.booster.predict(X)

    @available_if(lambda self: hasattr(self.booster, "predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Return the graph's probabilities."""
        return self.booster.predict_proba(X)

    @property
    def classes_(self) -> Any:
        """Labels, in the order of the probabilities."""
        return self.booster.classes_


class Predictor:
    """A pipeline whose first step reads frames of any driver, as MLflow calls it.

    Parameters
    ----------
    pipeline : fitted
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: pd.DataFrame, params: Mapping[str, Any] | None = None) -> Any:
        """Return predictions, missing where the pipeline refuses a row, as the function gives NULL there.

        Parameters
        ----------
        params : {'proba': True} for a frame of probabilities, whose columns are the labels;
            {'is_anomaly': True} for booleans, None where the pipeline refuses a row
        """
        frame, model = self.pipeline[0].transform(data), self.pipeline[1:]
        if params and params.get(IS_ANOMALY):
            return by_halves(lambda part: model[-1].is_anomaly(model[:-1].transform(part)).tolist(), frame)
        try:
            if params and params.get(PROBABILITIES):
                return pd.DataFrame(model.predict_proba(frame), columns=self.pipeline.classes_)
            return self._converted(model.predict(frame))
        except REFUSALS:
            if params and params.get(PROBABILITIES):
                rows = by_halves(lambda part: list(model.predict_proba(part)), frame)
                missing = [float("nan")] * len(self.pipeline.classes_)
                return pd.DataFrame(
                    [missing if row is None else row for row in rows], columns=self.pipeline.classes_
                )
            return by_halves(lambda part: list(self._converted(model.predict(part))), frame)

    def _converted(self, predictions: Any) -> Any:
        """Return predicted numbers in the function's type; labels, and double precision, as they are."""
        returns = getattr(self.pipeline[0], "returns", "")
        if returns not in CONVERTED:
            return predictions
        return [writer(returns)(value) for value in np.asarray(predictions, dtype=np.float64).tolist()]


def _load_pyfunc(path: str) -> Predictor:
    """Return the model in the file that the MLmodel's `data` names; MLflow calls this."""
    with Path(path).open("rb") as file:
        return Predictor(pickle.load(file))
