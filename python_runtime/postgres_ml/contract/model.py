"""What came of a training: the JSON file that the child writes and the adapter publishes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ProblemType

Details = Literal["probabilities", "distances"]  # what a model tells of a row besides its prediction


@dataclass(frozen=True)
class ArtifactFile:
    """A packed pipeline that the publication puts into the catalog, and what it needs of the server.

    Parameters
    ----------
    path : of the file
    sha256 : of its content
    python : minor version
    modules : libraries with their versions; '' where only their presence counts
    """

    path: str
    sha256: str
    python: str
    modules: dict[str, str]


@dataclass(frozen=True)
class FunctionBody:
    """One function to create, without its `create function` (that is the publish macro's).

    Parameters
    ----------
    role : 'predict', 'probabilities' (classifiers), 'distances' (kmeans) and 'explain' are called by users,
        'part' by those
    name : unquoted
    arguments : (name, SQL type) pairs, unquoted names
    returns, language, body : as in create function
    composite : attributes of the composite type that the only argument is of, created before the function
        and named as that argument's type says; empty for a function of at most 100 arguments
    options : what else create function says: volatility, parallel safety, settings
    """

    role: Literal["predict", "probabilities", "distances", "explain", "part"]
    name: str
    arguments: tuple[tuple[str, str], ...]
    returns: str
    language: str
    body: str
    composite: tuple[tuple[str, str], ...] = ()
    options: str = "immutable parallel safe"


@dataclass(frozen=True)
class TrainedModel:
    """What the training child hands back: card, metrics, functions, and rows to check them with.

    Parameters
    ----------
    return_type : SQL type of the prediction
    labels : class labels in the estimator's order, as text; empty for regression
    metrics, train_metrics : by metric name, on the hold-out and on the training rows
    metric, score : the objective's metric and its value on the hold-out; '' and None if there are no rows to
        evaluate a brought model on
    n_rows, n_holdout, n_features : rows used (hold-out included) and columns
    functions : in the order of creation
    runtime, runtime_reason : 'native', 'sql', 'python' or 'endpoint', and why this one
    n_nodes : tree nodes of the program
    est_rows_per_s : predictions a second to expect of one core
    parity_file : rows to run the function on, in COPY text format (see `parity`)
    messages : what the user should know (dropped rows, ignored columns, choices made)
    seconds : duration of each phase
    explanation : Redshift's EXPLAIN_MODEL as JSON; None where there is nothing to explain (clusters)
    hyperparameters : of the estimator, by the library's names
    artifact : the packed pipeline, for runtime python
    evaluated_program : scoring program, as JSON, of the pipeline that never saw the hold-out
    statistics : distributions for the drift tests (see `distributions`)
    champion_score, champion_note : the serving version's score on the same hold-out, or why there is none
    is_tracked : whether MLflow has been told of all this
    """

    features: tuple[Column, ...]
    return_type: str
    problem_type: ProblemType
    model_type: str
    objective: str
    labels: tuple[str, ...]
    metric: str
    score: float | None
    metrics: dict[str, float]
    train_metrics: dict[str, float]
    n_rows: int
    n_holdout: int
    n_features: int
    functions: tuple[FunctionBody, ...]
    runtime: str
    runtime_reason: str
    n_nodes: int
    est_rows_per_s: int
    mlflow_run_id: str
    mlflow_model_uri: str
    parity_file: str
    messages: tuple[str, ...]
    seconds: dict[str, float]
    explanation: dict[str, Any] | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    artifact: ArtifactFile | None = None
    evaluated_program: str = ""
    statistics: dict[str, Any] = field(default_factory=dict)
    champion_score: float | None = None
    champion_note: str = ""
    is_tracked: bool = False


def registered_name(schema: str, name: str) -> str:
    """Return MLflow's name of a model: what its card is called, less MLflow's separators."""
    return f"{schema}.{name}".replace("/", "_").replace(":", "_")
