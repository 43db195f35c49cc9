"""Evaluation of an anomaly detection, which has no target: how scores are spread, how many are anomalies.

Input: a fitted pipeline that ends in an AnomalyDetector, and rows. Output: metrics by name, labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline


def evaluate_anomalies(pipeline: Pipeline, frame: pd.DataFrame) -> dict[str, float]:
    """Return quantiles of the rows' scores, 0 to 1, their mean, and the share of rows that are anomalies.

    There is no such share where the pipeline has no rule.
    """
    scores = np.asarray(pipeline.predict(frame), dtype=np.float64)
    median, p95, p99, greatest = np.quantile(scores, [0.5, 0.95, 0.99, 1.0]).tolist()
    limit = threshold(pipeline)
    share = {} if limit is None else {"anomaly_share": float(np.mean(scores > limit))}
    return share | {
        "score_mean": float(np.mean(scores)),
        "score_median": median,
        "score_p95": p95,
        "score_p99": p99,
        "score_max": greatest,
    }


def threshold(pipeline: Any) -> float | None:
    """Return the score above which a row is an anomaly, as the forest's offset_ says; None without a rule."""
    return -float(last_step(pipeline).estimator_.offset_) if has_rule(pipeline) else None


def has_rule(pipeline: Any) -> bool:
    """Return whether the pipeline says of rows whether they are anomalies."""
    return hasattr(last_step(pipeline), "is_anomaly")


def predict_is_anomaly(pipeline: Any, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return whether each row is an anomaly, of shape (n_rows,); raises as predict does.

    Parameters
    ----------
    pipeline : one that has such a rule, or its last step alone
    """
    rows = pipeline[:-1].transform(frame) if isinstance(pipeline, Pipeline) else frame
    found: npt.NDArray[np.bool_] = last_step(pipeline).is_anomaly(rows)
    return found


def last_step(pipeline: Any) -> Any:
    """Return a pipeline's estimator, or the estimator that is no pipeline."""
    return pipeline[-1] if isinstance(pipeline, Pipeline) else pipeline
