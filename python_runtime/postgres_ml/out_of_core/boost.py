"""xgboost on rows that are read in parts: its external memory.

Input: fitted columns, batches of rows. Output: the estimator that a fit in memory would be, with trees of all
rows. xgboost reads the batches a few times, and keeps their bins in a file of its own, a byte a value.
Source: https://xgboost.readthedocs.io/en/stable/tutorials/external_memory.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xgboost

from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.features.problem import Problem
from postgres_ml.fit.fit import known
from postgres_ml.out_of_core.rows import Batch, Encode
from postgres_ml.process.memory import give_back


class _Batches(xgboost.DataIter):  # type: ignore[misc]
    """What xgboost reads batches from, again and again."""

    def __init__(self, make: Callable[[], Iterator[Batch]], encode: Encode, cache: Path, **more: Any) -> None:
        super().__init__(cache_prefix=str(cache / "xgboost"), on_host=False)
        self._make, self._encode, self._more = make, encode, more
        self._batches = make()

    def reset(self) -> None:
        self._batches = self._make()

    def next(self, input_data: Callable[..., Any]) -> bool:
        batch = next(self._batches, None)
        if batch is None:
            return False
        matrix, label, weight = self._encode(batch)
        input_data(data=matrix, label=label, weight=weight, **self._more)
        return True


def fit_boosting(
    estimator: Any, problem: Problem, make: Callable[[], Iterator[Batch]], encode: Encode, cache: Path
) -> Any:
    """Return the estimator with trees learned from all batches.

    Parameters
    ----------
    estimator : XGBClassifier or XGBRegressor, or a LabelEncodedClassifier of one, unfitted
    make : returns the batches, each time it is called
    cache : folder for xgboost's file, which is the fit's alone

    Raises
    ------
    xgboost.core.XGBoostError
        The library refuses a hyperparameter's value.
    """
    library = estimator.estimator if isinstance(estimator, LabelEncodedClassifier) else estimator
    given = library.get_params()
    names = ("feature_types", "feature_weights")
    more = {name: given[name] for name in names if given.get(name) is not None}
    matrix = xgboost.ExtMemQuantileDMatrix(
        _Batches(make, encode, cache, **more),
        missing=given["missing"],
        nthread=given["n_jobs"],
        max_bin=given["max_bin"],
        enable_categorical=bool(given["enable_categorical"]),
    )
    give_back()  # what the batches took
    booster = xgboost.train(
        training_parameters(library, problem),
        matrix,
        library.get_num_boosting_rounds(),
        callbacks=given["callbacks"],
    )
    return with_booster(estimator, problem, booster)


def training_parameters(library: Any, problem: Problem) -> dict[str, Any]:
    """Return what the estimator's own fit gives to `xgboost.train`."""
    parameters: dict[str, Any] = library.get_xgb_params()
    if len(problem.classes) > 2:
        parameters |= {"objective": "multi:softprob", "num_class": len(problem.classes)}
    return parameters


def with_booster(estimator: Any, problem: Problem, booster: xgboost.Booster) -> Any:
    """Return the estimator as its own fit leaves it."""
    library = estimator.estimator if isinstance(estimator, LabelEncodedClassifier) else estimator
    library.load_model(bytearray(booster.save_raw("ubj")))
    return known(problem, estimator, library)
