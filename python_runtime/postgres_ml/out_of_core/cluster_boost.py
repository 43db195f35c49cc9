"""xgboost on Dask's workers, each of which bins its own rows: their histograms are added up in each round.

Source: https://xgboost.readthedocs.io/en/stable/tutorials/dask.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.features.problem import Problem
from postgres_ml.fit.stop import StopAtDeadline
from postgres_ml.out_of_core.boost import training_parameters, with_booster
from postgres_ml.out_of_core.rows import Batch, Encode

if TYPE_CHECKING:
    import pandas as pd

    from postgres_ml.out_of_core.cluster_rows import ClusterRows
    from postgres_ml.snapshot.rows import Array

PEER_S = 60  # that a worker waits for another, which may be slow: so late a lost one's peers give up
OUT_OF_TOUCH = re.compile(r"collective|socket|connection|timed? ?out|tracker", re.IGNORECASE)


class StopTogether(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Ends boosting after some seconds, on all workers after the same round: they agree on it.

    Each has a clock of its own, and one that stopped alone would leave the others waiting.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.started = 0.0

    def before_training(self, model: Any) -> Any:
        """Begin to count."""
        self.started = time.monotonic()
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether to stop."""
        late = np.array([time.monotonic() - self.started >= self.seconds], dtype=np.int32)
        return bool(xgboost.collective.allreduce(late, xgboost.collective.Op.MAX)[0])


def fit_on_workers(
    rows: ClusterRows, estimator: Any, problem: Problem, encode: Encode, sides: Sequence[int], seconds: float
) -> Any:
    """Return the estimator with trees learned from the rows on these sides.

    Raises
    ------
    LostWorkersError
        A worker is gone.
    xgboost.core.XGBoostError
        The library refuses a hyperparameter's value.
    """
    import dask.array
    from xgboost import dask as xgboost_dask

    cluster = rows.read.cluster
    library = estimator.estimator if isinstance(estimator, LabelEncodedClassifier) else estimator
    given = library.get_params()
    matrices: list[Any] = []
    labels: list[Any] = []
    weights: list[Any] = []
    for part in rows.read.parts:
        local, places = rows.chosen(part, sides)
        if not len(local):
            continue
        weight = None if rows.index.weight is None else rows.index.weight[places]
        compute = partial(encoded, encode, local, rows.index.target[places], weight)
        made = cluster.submit(part.worker, compute, part.frame)
        (width,) = cluster.gather([cluster.submit(part.worker, _width, made)])
        for place, arrays, shape in ((0, matrices, (len(local), width)), (1, labels, (len(local),)),
                                     (2, weights, (len(local),))):  # fmt: skip
            future = cluster.submit(part.worker, itemgetter(place), made)
            arrays.append(dask.array.from_delayed(future, shape, np.float32))
    weighted = None if rows.index.weight is None else dask.array.concatenate(weights)

    feature_weights = given.get("feature_weights")
    if feature_weights is not None:
        feature_weights = dask.array.from_array(np.asarray(feature_weights, np.float32))

    own = [one for one in given["callbacks"] or () if not isinstance(one, StopAtDeadline)]
    callbacks = [*own, StopTogether(seconds)]

    def fit() -> xgboost.Booster:
        with xgboost.config_context(verbosity=0):  # each worker would say which number it has
            matrix = xgboost_dask.DaskQuantileDMatrix(
                cluster.client, dask.array.concatenate(matrices), dask.array.concatenate(labels), weight=weighted,
                missing=given["missing"], max_bin=given["max_bin"], feature_types=given["feature_types"],
                enable_categorical=bool(given["enable_categorical"]), feature_weights=feature_weights,
            )  # fmt: skip
            found = xgboost_dask.train(
                cluster.client, {**training_parameters(library, problem), "nthread": cluster.n_threads}, matrix,
                library.get_num_boosting_rounds(), callbacks=callbacks,
                coll_cfg=xgboost.collective.Config(retry=1, timeout=PEER_S),
            )  # fmt: skip
        booster: xgboost.Booster = found["booster"]
        return booster

    try:
        booster = cluster.run(fit)
    except xgboost.core.XGBoostError as error:
        if not OUT_OF_TOUCH.search(str(error)):
            raise
        raise TrainingProcessError(
            f"Dask's workers lost touch while they grew trees, for {PEER_S} s at least: {str(error)[:300]}. "
            "Nothing was published: see their logs and the network between them, and build again"
        ) from error
    return with_booster(estimator, problem, booster)


def encoded(
    encode: Encode, local: Array, target: Array, weight: Array | None, frame: pd.DataFrame
) -> tuple[Array, Array, Array]:
    """Return the matrix, labels and weights of some rows of a part, in single precision."""
    batch = Batch(frame.iloc[local].reset_index(drop=True), target, weight)
    matrix, label, scaled = encode(batch)
    ones = np.ones(len(local), np.float32) if scaled is None else np.asarray(scaled, np.float32)
    return np.asarray(matrix, np.float32), np.asarray(label, np.float32), ones


def _width(made: tuple[Array, Array, Array]) -> int:
    return int(made[0].shape[1])
