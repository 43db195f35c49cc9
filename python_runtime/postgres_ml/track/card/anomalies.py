"""The most unusual rows of an anomaly detection, as the card shows them.

Input: `Fitted`. Output: a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from postgres_ml.evaluate.anomalies import has_rule, predict_is_anomaly
from postgres_ml.features.feature_columns import looks_like_id
from postgres_ml.publish.fitted import Fitted
from postgres_ml.track.card.readings import number

MAX_ROWS = 10
MAX_COLUMNS = 7
MAX_TEXT = 30


def most_unusual(fitted: Fitted) -> list[tuple[str, ...]]:
    """Return the rows that the published pipeline scores highest: score, whether an anomaly, some columns.

    The columns are those that move the scores most. Identifiers tell nothing of why a row is unusual, and who
    it is about is nobody's business who reads the card.
    """
    scores = np.asarray(fitted.pipeline.predict(fitted.rows.frame), dtype=np.float64)
    first = np.argsort(-scores, kind="stable")[:MAX_ROWS]
    chosen = fitted.rows.frame.iloc[first]
    names = _columns(fitted)
    cells = [
        [_cell(value, fitted.task.columns.kinds[name]) for value in chosen[name].tolist()] for name in names
    ]
    head: tuple[str, ...] = ("score",)
    lines: list[list[str]] = [[f"{scores[row]:.4f}" for row in first]]
    if has_rule(fitted.pipeline):
        head = (*head, "anomaly")
        lines.append(["yes" if found else "no" for found in predict_is_anomaly(fitted.pipeline, chosen)])
    return [(*head, *names), *zip(*lines, *cells, strict=True)]


def _columns(fitted: Fitted) -> list[str]:
    kinds, frame = fitted.task.columns.kinds, fitted.rows.frame
    names = [
        column.name
        for column in fitted.job.features
        if column.name in kinds and not looks_like_id(column, frame[column.name])
    ]
    weights: Mapping[str, float] = fitted.explanation.importance if fitted.explanation else {}
    shown = set(sorted(names, key=lambda name: -weights.get(name, 0.0))[:MAX_COLUMNS])
    return [name for name in names if name in shown]


def _cell(value: Any, kind: str) -> str:
    if value is None or value != value:
        return "NULL"
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "number":
        return number(value)
    text = str(value)
    if kind == "time":
        text = text.partition(" ")[2] or text
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
