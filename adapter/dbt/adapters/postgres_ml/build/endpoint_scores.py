"""Scores of a model behind an endpoint: the query's rows are sent to it in the publishing transaction.

The service is asked as predict_table asks it, in requests of max_batch_rows, with the server's secrets.
Nothing of it is known here but what it answers.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dbt.adapters.postgres_ml.operations.scores import classification_scores

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ProblemType
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.contract.model import Evaluation, FunctionBody, ModelSummary, TrainedModel
from postgres_ml.contract.sql_names import identifier

CHUNK_ROWS = 10_000
#: the metric that stands on the card
METRIC = {"regression": "mse", "binary_classification": "f1", "multiclass_classification": "accuracy"}
#: how a column's values become texts that the functions read, whatever DateStyle and TimeZone
TEXTS = {
    "date": "to_json({}) #>> '{{}}'",
    "timestamp": "to_json({}) #>> '{{}}'",
    "timestamptz": "to_json({} at time zone 'UTC') #>> '{{}}'",
}


def evaluate(cursor: Any, trained: TrainedModel, query: str, target: Column) -> TrainedModel:
    """Return the model with its scores on the query's rows, those without a target left out.

    Raises
    ------
    TrainingDataError
        No row has a target, or none got a prediction.
    psycopg2.Error
        The service fails: as every call of the function would.
    """
    [batch] = [body for body in trained.deployed.functions if body.name.endswith("__batch")]
    _create_temporary(cursor, batch)
    truths, predicted = _ask(cursor, batch, trained.summary, query, target)
    if not truths or all(value is None for value in predicted):
        what = "has a target" if not truths else "got a prediction"
        raise TrainingDataError(f"no row of the query {what}: the endpoint can't be evaluated")
    summary = trained.summary
    problem: ProblemType = summary.problem_type
    labels: tuple[str, ...] = ()
    if problem == "regression":
        metrics = regression_scores(truths, predicted)
    else:
        labels = tuple(sorted({*truths, *(value for value in predicted if value is not None)}))
        problem = "binary_classification" if len(labels) == 2 else "multiclass_classification"
        pairs = Counter(zip(truths, predicted, strict=True))
        metrics = classification_scores([(t, p, n) for (t, p), n in pairs.items()], labels)
    metric = METRIC[problem]
    summary = dataclasses.replace(
        summary,
        problem_type=problem,
        labels=labels,
        objective=metric,
        n_rows=len(truths),
        n_holdout=len(truths),
    )
    evaluation = Evaluation(metric, metrics[metric], metrics)
    return dataclasses.replace(trained, summary=summary, evaluation=evaluation)


def regression_scores(truths: Sequence[str], predicted: Sequence[str | None]) -> dict[str, float]:
    """Return mse, rmse, mae and r2 of the rows that got a prediction."""
    pairs = [(float(t), float(p)) for t, p in zip(truths, predicted, strict=True) if p is not None]
    mean = sum(truth for truth, _ in pairs) / len(pairs)
    mse = sum((t - p) ** 2 for t, p in pairs) / len(pairs)
    variance = sum((t - mean) ** 2 for t, _ in pairs) / len(pairs)
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": sum(abs(t - p) for t, p in pairs) / len(pairs),
        "r2": 1 - mse / variance if variance else 0.0,
    }


def _create_temporary(cursor: Any, batch: FunctionBody) -> None:
    """Create the function that the publication will create, for this session only."""
    arguments = ", ".join(f"{identifier(name)} {kind}" for name, kind in batch.arguments)
    cursor.execute(
        f"create or replace function pg_temp.{identifier(batch.name)}({arguments}) returns {batch.returns} "
        f"language {batch.language} {batch.options} as %s",
        (batch.body,),
    )


def _ask(
    cursor: Any, batch: FunctionBody, summary: ModelSummary, query: str, target: Column
) -> tuple[list[str], list[str | None]]:
    """Return true and predicted values as texts of the function's type."""
    numbers, others = [], []
    for column in summary.features:
        name = identifier(column.name)
        if column.kind in ("number", "boolean"):
            numbers.append(f"{name}::{'integer::' if column.kind == 'boolean' else ''}float8")
        else:
            others.append(TEXTS.get(column.kind, "{}::text").format(name))
    name = identifier(target.name)
    selected = ", ".join([f"{name}::{summary.return_type}::text", *numbers, *others])
    placeholders = ", ".join(["%s", *("%s::text[]" for _ in others)])
    call = f"select pg_temp.{identifier(batch.name)}({placeholders})::text[]"
    truths, predicted = list[str](), list[str | None]()
    with cursor.connection.cursor(name="postgres_ml_evaluation") as rows:
        rows.execute(f"select {selected} from (\n{query}\n) as query where {name} is not null")
        while chunk := rows.fetchmany(CHUNK_ROWS):
            width = 1 + len(numbers)
            doubles = [math.nan if v is None else v for row in chunk for v in row[1:width]]
            texts = [[row[width + i] for row in chunk] for i in range(len(others))]
            cursor.execute(call, [struct.pack(f">{len(doubles)}d", *doubles), *texts])
            truths += [row[0] for row in chunk]
            predicted += cursor.fetchone()[0]
    return truths, predicted
