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
    from xgboost import dask as xgboost_dask

    cluster = rows.read.cluster
    library = estimator.estimator if isinstance(estimator, LabelEncodedClassifier) else estimator
    given = library.get_params()
    matrix, label, weight = _arrays(rows, encode, sides)
    own = [one for one in given["callbacks"] or () if not isinstance(one, StopAtDeadline)]

    def fit() -> xgboost.Booster:
        names = ("missing", "max_bin", "feature_types")
        binned = xgboost_dask.DaskQuantileDMatrix(
            cluster.client, matrix, label, weight=weight, **{name: given[name] for name in names},
            enable_categorical=bool(given["enable_categorical"]), feature_weights=_feature_weights(given),
        )  # fmt: skip
        found = xgboost_dask.train(
            cluster.client,
            {**training_parameters(library, problem), "nthread": cluster.n_threads},
            binned,
            library.get_num_boosting_rounds(),
            callbacks=[*own, StopTogether(seconds)],
            coll_cfg=xgboost.collective.Config(retry=1, timeout=PEER_S),
        )
        booster: xgboost.Booster = found["booster"]
        return booster

    def quietly() -> xgboost.Booster:
        with xgboost.config_context(verbosity=0):  # each worker would say which number it has
            return fit()

    try:
        booster = cluster.run(quietly)
    except xgboost.core.XGBoostError as error:
        if not OUT_OF_TOUCH.search(str(error)):
            raise
        raise TrainingProcessError(
            f"Dask's workers lost touch while they grew trees, for {PEER_S} s at least: {str(error)[:300]}. "
            "Nothing was published: see their logs and the network between them, and build again"
        ) from error
    return with_booster(estimator, problem, booster)


def _arrays(rows: ClusterRows, encode: Encode, sides: Sequence[int]) -> tuple[Any, Any, Any]:
    """Return matrix, labels and weights as Dask's arrays; no weights where all rows count alike."""
    import dask.array

    cluster = rows.read.cluster
    encodings = []  # all are begun before any is waited for
    for part in rows.read.parts:
        local, places = rows.chosen(part, sides)
        if len(local):
            weight = None if rows.index.weight is None else rows.index.weight[places]
            compute = partial(encoded, encode, local, rows.index.target[places], weight)
            result = cluster.submit(part.worker, compute, part.frame)
            encodings.append((part.worker, len(local), result))
    widths = cluster.gather([cluster.submit(worker, _width, result) for worker, _, result in encodings])
    made = []
    for (worker, n, result), width in zip(encodings, widths, strict=True):
        futures = [cluster.submit(worker, itemgetter(k), result) for k in range(3)]
        shapes = ((n, width), (n,), (n,))
        made.append([dask.array.from_delayed(*one, np.float32) for one in zip(futures, shapes, strict=True)])
    matrix, label, weights = (dask.array.concatenate([item[n] for item in made]) for n in range(3))
    return matrix, label, None if rows.index.weight is None else weights


def _feature_weights(given: dict[str, Any]) -> Any:
    import dask.array

    weights = given.get("feature_weights")
    return None if weights is None else dask.array.from_array(np.asarray(weights, np.float32))


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
