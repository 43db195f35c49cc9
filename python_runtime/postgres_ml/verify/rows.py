r"""Rows for the check inside the database, each with what the pipeline itself predicts.

Input: the fitted pipeline, its program and hold-out rows. Output: a file that `parity.check_parity` copies
into Postgres, in COPY's text format: a column for each feature, as text that casts back exactly to the
argument's type, then the prediction as text, then {label: probability} as JSON, an array of
distances, or whether it is an anomaly, then {set: {column: SHAP value}} as JSON in some rows. `\N` is NULL
everywhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import StorageError
from postgres_ml.contract.model import Details
from postgres_ml.evaluate.anomalies import predict_is_anomaly
from postgres_ml.evaluate.clusters import predict_distances
from postgres_ml.evaluate.intervals import Interval
from postgres_ml.explain.row_values import row_values
from postgres_ml.features.problem import label_text
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.program import Program
from postgres_ml.program.raw_values import read_instants
from postgres_ml.program.scorers import Linear
from postgres_ml.publish.fitted import Fitted
from postgres_ml.snapshot.copy import KINDS
from postgres_ml.snapshot.query import INTEGER_TYPES
from postgres_ml.verify.refusals import REFUSED_SHARE, check_plausible, row_by_row, row_predictions

MAX_HOLDOUT_ROWS = 2_000
N_ADVERSARIAL_ROWS = 400
MAX_NULL_ROWS = 200
MAX_BIGINT = 2**63 - 1
TIMES_OF_DAY = ("time without time zone", "time with time zone")
MOMENTS = ("date", "timestamp without time zone", "timestamp with time zone", *TIMES_OF_DAY)
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def write_parity(path: Path, fitted: Fitted) -> int:
    """Write hold-out rows, then adversarial ones, and return how many.

    Raises
    ------
    StorageError
        The file can't be written.
    """
    details = fitted.deployment.details
    ordinary = fitted.holdout.frame.iloc[:MAX_HOLDOUT_ROWS]
    seed = fitted.job.spec.settings.seed
    features, seen = fitted.job.arguments, fitted.rows.frame
    explain = None
    if any(body.role == "explain" for body in fitted.deployment.runtime.generated.functions):
        assert fitted.explanation is not None, "what is explained by a function has been explained here"
        explain = partial(row_values, fitted.explanation)
    return write_rows(
        path, fitted.pipeline, fitted.deployment.program, features, details, ordinary, seen, seed, explain,
        interval=fitted.interval,
    )  # fmt: skip


def write_rows(
    path: Path,
    pipeline: Any,
    program: Program | None,
    features: Sequence[Column],
    details: Details | None,
    ordinary: pd.DataFrame,
    seen: pd.DataFrame,
    seed: int,
    explain: Callable[[pd.DataFrame], list[str | None]] | None = None,
    may_refuse: float = REFUSED_SHARE,
    interval: Interval | None = None,
) -> int:
    """Write rows with the pipeline's predictions, and return how many.

    They are the ordinary ones, then an ordinary one with NULL in each column in turn, then the hostile ones.

    Parameters
    ----------
    details : what is compared besides predictions
    ordinary : rows to write, before the adversarial ones
    seen : rows whose values stand for what the columns hold
    explain : returns the SHAP values of the first rows; None where no function explains
    may_refuse : the share of ordinary rows, or of those seen if there are none, that the pipeline may refuse
    interval : around the predictions, where that is what is compared besides

    Raises
    ------
    StorageError
        The file can't be written.
    ParityError
        The pipeline refuses more rows than that, or all of them.
    """
    plausible = ordinary if len(ordinary) else seen.head(MAX_HOLDOUT_ROWS)
    names = [column.name for column in features]
    check_plausible(pipeline.predict, plausible[names], may_refuse)
    hostile = hostile_rows(program, features, seen, seed)
    nulls = null_rows(features, plausible)
    columns = {
        c.name: [
            *_plain(ordinary[c.name]), *nulls[c.name], *_castable(hostile[c.name], c, seen[c.name])
        ]
        for c in features
    }  # fmt: skip
    frame = as_frame(columns, features)
    with np.errstate(all="ignore"):  # the hostile rows overflow on purpose
        predictions = expected(pipeline, frame, details, interval)
    explanations = explain(frame.head(len(ordinary))) if explain is not None else []
    cells = [[to_text(value, c.sql_type) for value in columns[c.name]] for c in features]
    cells += [*predictions, [*explanations, *[None] * (len(frame) - len(explanations))]]
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for row in zip(*cells, strict=True):
                file.write(
                    "\t".join("\\N" if cell is None else cell.translate(ESCAPES) for cell in row) + "\n"
                )
    except OSError as error:
        raise StorageError(f"the parity rows can't be written to {path}: {error.strerror}") from error
    return len(frame)


def null_rows(features: Sequence[Column], plausible: pd.DataFrame) -> dict[str, list[Any]]:
    """Return an ordinary row with NULL in one column for each column, and one with NULL in all of them."""
    if not len(plausible):
        return {column.name: [] for column in features}
    chosen = features[:MAX_NULL_ROWS]
    rows = {}
    for column in features:
        values = _plain(plausible[column.name].head(MAX_NULL_ROWS))
        around = [values[number % len(values)] for number in range(len(chosen))]
        cells = [None if one is column else value for one, value in zip(chosen, around, strict=True)]
        rows[column.name] = [*cells, None]
    return rows


def hostile_rows(
    program: Program | None, features: Sequence[Column], frame: pd.DataFrame, seed: int
) -> dict[str, list[Any]]:
    """Return rows made to show differences: values at a program's thresholds, or else extreme ones."""
    if program is not None:
        rows = adversarial_rows(program, seed, N_ADVERSARIAL_ROWS)
        if _order_matters(program):
            rows = {c.name: _moderate(rows[c.name], c, frame[c.name]) for c in features}
        return rows
    random = np.random.default_rng(seed)
    columns = {}
    for column in features:
        seen = _plain(frame[column.name].dropna().iloc[:1000])
        if column.kind == "text":
            extreme: list[Any] = [None, "", "\\", "\t\n", "never seen 日本", *seen]
        elif column.kind == "boolean":
            extreme = [None, 0.0, 1.0]
        elif column.kind != "number":
            extreme = [None, *seen]
        elif column.sql_type in INTEGER_TYPES:
            limit = 2 ** {"smallint": 15, "integer": 31}.get(column.sql_type, 53) - 1
            extreme = [None, 0, 1, -limit, limit, *map(int, seen)]
        else:
            extreme = [None, 0.0, math.nan, math.inf, -math.inf, 1e300, -1e300, 5e-324, *seen]
            if column.sql_type == "real":
                extreme = [v for v in extreme if v is None or not 1e38 < abs(v) < math.inf]
        columns[column.name] = [extreme[i] for i in random.integers(0, len(extreme), N_ADVERSARIAL_ROWS)]
    return columns


def _plain(values: pd.Series) -> list[Any]:
    """Return Python values, but NumPy's datetime64 for dates: Python's own end with the year 9999."""
    return list(values.to_numpy()) if values.dtype.kind == "M" else values.tolist()


def _order_matters(program: Program) -> bool:
    """Return whether sums are summed again (PCA before a linear model, a network's layers) or compared.

    Their order is BLAS's in the pipeline and the columns' in the function. Where huge terms cancel, no digit
    of either is right: a linear model on principal components of (1e308, 1) is anything up to ±Infinity,
    and the greatest of several classes' sums any of them.
    """
    sums = [step for step in program.steps if isinstance(step, Linear)]
    return len(sums) > 1 or any(step.width > 1 for step in sums)


def _moderate(values: list[Any], column: Column, seen: pd.Series) -> list[Any]:
    """Return the numbers up to a thousand times the greatest one seen, and all that is not finite."""
    if column.kind != "number":
        return values
    limit = 1000 * max(float(seen.abs().max()), 1e-3)
    return [None if v is not None and limit < abs(v) < math.inf else v for v in values]


def _castable(values: list[Any], column: Column, seen: pd.Series) -> list[Any]:
    """Return the values as a column of the type holds them, NULL for text that an enum hasn't as a label."""
    if column.sql_type == "character":  # blanks at the end mean nothing in it, and are gone in text
        return [None if value is None else value.rstrip(" ") for value in values]
    if column.kind != "text" or column.sql_type in KINDS:
        return values
    labels = set(seen.dropna().unique())
    return [value if value in labels else None for value in values]


def as_frame(columns: dict[str, list[Any]], features: Sequence[Column]) -> pd.DataFrame:
    """Return raw values as the frame that pipelines are fitted on."""
    data = {}
    for column in features:
        values = columns[column.name]
        if column.kind == "text":
            data[column.name] = pd.Series(values, dtype=object)
        elif column.kind not in ("number", "boolean"):
            objects = np.empty(len(values), dtype=object)
            objects[:] = values
            data[column.name] = pd.Series(read_instants(objects, column.kind))
        else:
            numbers = [math.nan if value is None else float(value) for value in values]
            if column.sql_type == "real":
                numbers = np.array(numbers).astype(np.float32).astype(np.float64).tolist()
            data[column.name] = pd.Series(numbers, dtype=float)
    return pd.DataFrame(data)


def to_text(value: Any, sql_type: str) -> str | None:
    """Return the value as text that Postgres casts back to the same value of the type; None is NULL."""
    if value is None or (
        isinstance(value, float) and math.isnan(value) and sql_type in (*INTEGER_TYPES, "boolean")
    ):
        return None
    if isinstance(value, str):
        return value
    if sql_type in MOMENTS:
        (instant,) = read_instants([value], "time" if sql_type.startswith("time ") else "timestamp")
        return moment_text(instant, sql_type)
    if sql_type == "boolean":
        return "true" if value else "false"
    if sql_type in INTEGER_TYPES:
        return str(min(int(value), MAX_BIGINT))  # 2^63, the double that is nearest to the greatest bigint
    number = float(value)
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return "NaN" if math.isnan(number) else repr(number)


def moment_text(instant: np.datetime64, sql_type: str) -> str | None:
    """Return a date, time or timestamp, in UTC and to the microsecond, as Postgres reads it; NaT is NULL."""
    if np.isnat(instant):
        return None
    if sql_type.startswith("time "):
        return _time_text(int(instant.astype("datetime64[us]").astype(np.int64)), sql_type)
    day, _, clock = str(instant.astype("datetime64[us]")).partition("T")
    year, month_and_day = int(day[:-6]), day[-6:]
    text = f"{year if year > 0 else 1 - year:04}{month_and_day}"
    if sql_type != "date":
        text += f" {clock}"
    if sql_type == "timestamp with time zone":
        text += "+00"
    return text if year > 0 else f"{text} BC"


def _time_text(micros: int, sql_type: str) -> str:
    """Return a time of day; one that its time zone moves out of the day is written in another zone."""
    seconds, micros = divmod(micros, 1_000_000)
    west = 0
    if sql_type == "time with time zone" and not 0 <= seconds < 86_400:
        west = -(-(seconds - 86_399) // 3600) if seconds > 0 else seconds // 3600
    seconds -= west * 3600
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"
    return f"{text}{'-' if west > 0 else '+'}{abs(west):02}" if sql_type == "time with time zone" else text


def expected(
    pipeline: Any, frame: pd.DataFrame, details: Details | None, interval: Interval | None = None
) -> list[list[str | None]]:
    """Return predictions as text, and probabilities or bounds as JSON, distances as an array, or a boolean.

    None where the pipeline refuses the row.
    """
    columns: list[list[str | None]] = []
    predicted = row_predictions(pipeline, frame)
    columns.append([None if v is None else _text(v) for v in predicted])
    if details is None:
        return [*columns, [None] * len(frame)]
    if details == "distances":
        rows = row_by_row(lambda some: predict_distances(pipeline, some), frame)
        arrays = [None if row is None else "{" + ",".join(map(_array_item, row)) + "}" for row in rows]
        return [*columns, arrays]
    if details == "is_anomaly":
        found = row_by_row(lambda some: predict_is_anomaly(pipeline, some), frame)
        return [*columns, [None if value is None else _text(value) for value in found]]
    if interval is not None:
        return [*columns, _bounds(interval, predicted, frame)]
    labels = [_text(label) for label in pipeline.classes_.tolist()]
    likely = row_by_row(pipeline.predict_proba, frame)
    columns.append([None if values is None else _by_label(labels, values) for values in likely])
    return columns


def _bounds(interval: Interval, predicted: Sequence[Any], frame: pd.DataFrame) -> list[str | None]:
    """Return lower and upper bound of each row as JSON; infinities are texts, as in Postgres's jsonb."""
    scales: Sequence[Any] = [None] * len(frame)
    if interval.scale is not None:
        scales = row_by_row(interval.scale.predict, frame)
    found: list[str | None] = []
    for value, scale in zip(predicted, scales, strict=True):
        if value is None or math.isnan(value):
            found.append(None)
            continue
        ends = interval.bounds(float(value), scale)
        lower, upper = (to_text(end, "double precision") if math.isinf(end) else end for end in ends)
        found.append(json.dumps({"lower": lower, "upper": upper}))
    return found


def _text(value: Any) -> str:
    """Return the label or number as text that casts to its type: 1.0 is no text of an integer, and 1 is."""
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_BIGINT:
        return "-0.0" if value == 0 and math.copysign(1, value) < 0 else str(int(value))
    return label_text(value)


def _by_label(labels: list[str], values: Sequence[float]) -> str:
    """Return probabilities as JSON, which has no NaN: a softmax of sums beyond 1e308 gives that."""
    numbers = [None if math.isnan(value) else value for value in values]
    return json.dumps(dict(zip(labels, numbers, strict=True)), ensure_ascii=False)


def _array_item(value: float) -> str:
    return "NULL" if math.isnan(value) else to_text(value, "double precision") or "NULL"
