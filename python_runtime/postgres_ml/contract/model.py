"""What came of a training: the JSON file that the child writes and the adapter publishes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ProblemType

# what a model tells of a row besides its prediction
Details = Literal["probabilities", "distances", "is_anomaly", "interval"]


# of a function
Role = Literal[
    "predict",
    "probabilities",
    "distances",
    "is_anomaly",
    "interval",
    "explain",
    "scorecard",
    "part",
    "by_name",
]
#: of the table that `<function>_scorecard` returns, whatever the problem type, so that it never changes
SCORECARD_COLUMNS = (
    ("term", "text"),
    ("bin", "text"),
    ("class", "text"),
    ("points", "double precision"),
    ("share", "double precision"),
)
_DEFINER = "security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' set timezone = 'UTC'"
#: what calls a function in runtime python, which is no more than stable
STABLE_OPTIONS = "stable parallel safe"
#: runtime python: stable, since the artifact is read from a table; dates reach Python as texts in one form
PYTHON_OPTIONS = f"stable parallel safe {_DEFINER}"
#: volatile: what a service answers is its own affair; restricted: each worker would open a connection
ENDPOINT_OPTIONS = f"volatile parallel restricted {_DEFINER}"


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
    role : 'predict', 'probabilities' (classifiers), 'distances' (kmeans), 'is_anomaly' (isolation_forest),
        'interval' (regressions), 'explain' and 'scorecard' (additive) are called by users, 'part' by those;
        'by_name' is an overload of one of the former that takes jsonb, and is not stored
    name : unquoted
    arguments : (name, SQL type) pairs, unquoted names
    returns, language, body : as in create function
    composite : attributes of the composite type that the only argument is of, created before the function
        and named as that argument's type says; empty for a function of at most 100 arguments
    options : what else create function says: volatility, parallel safety, settings
    padded : text features that are columns of type character: rows as jsonb have them with blanks at the end
    singles : number features that are columns of type real: rows as jsonb have them in nine digits at most
    columns : (name, SQL type) pairs of the table that it returns, unquoted names; empty of a function that
        returns one value. `returns` is 'record' then, as Postgres has it
    defaults : of the last arguments
    """

    role: Role
    name: str
    arguments: tuple[tuple[str, str], ...]
    returns: str
    language: str
    body: str
    composite: tuple[tuple[str, str], ...] = ()
    options: str = "immutable parallel safe"
    padded: tuple[str, ...] = ()
    singles: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    defaults: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelSummary:
    """What kind of model it is, and what it learned from.

    Parameters
    ----------
    features : arguments of the function
    return_type : SQL type of the prediction
    model_type, objective : 'none' of a model that nothing was trained for
    labels : class labels in the estimator's order, as text; empty for regression, and where nobody knows them
    n_rows, n_holdout : rows used (hold-out included)
    hyperparameters : of the estimator, by the library's names
    """

    features: tuple[Column, ...]
    return_type: str
    problem_type: ProblemType
    model_type: str
    objective: str
    labels: tuple[str, ...] = ()
    n_rows: int = 0
    n_holdout: int = 0
    hyperparameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """How good the model is on rows that it has not seen.

    Parameters
    ----------
    metric, score : the objective's metric and its value on the hold-out
    metrics, train_metrics : by metric name, on the hold-out and on the training rows
    program : scoring program, as JSON, of the pipeline that never saw the hold-out; None where there is none
    champion_score, champion_note : the serving version's score on the same hold-out, or why there is none;
        None both where it wasn't asked for
    """

    metric: str
    score: float
    metrics: dict[str, float]
    train_metrics: dict[str, float] = field(default_factory=dict)
    program: str | None = None
    champion_score: float | None = None
    champion_note: str | None = None


@dataclass(frozen=True)
class DeployedFunctions:
    """The functions to publish, and how they are computed.

    Parameters
    ----------
    functions : in the order of creation
    runtime, runtime_reason : 'native', 'sql', 'python', 'endpoint' or 'stub', and why this one
    n_nodes : tree nodes of the program
    est_rows_per_s : predictions a second to expect of one core; None where nobody knows
    artifact : the packed pipeline, for runtime python
    parity_file : rows to run the functions on, in COPY text format (see `verify.parity`)
    """

    functions: tuple[FunctionBody, ...]
    runtime: str
    runtime_reason: str
    n_nodes: int = 0
    est_rows_per_s: int | None = None
    artifact: ArtifactFile | None = None
    parity_file: str | None = None


@dataclass(frozen=True)
class RunReference:
    """The MLflow run of a training.

    Parameters
    ----------
    run_id : '' where the store didn't answer: the next build begins a run
    model_uri : of the logged pipeline; None as long as it is not logged
    is_tracked : whether MLflow has been told of everything
    """

    run_id: str
    model_uri: str | None = None
    is_tracked: bool = False


@dataclass(frozen=True)
class TrainedModel:
    """What the training child hands back; what does not exist of a model is None.

    Parameters
    ----------
    evaluation : None of a stub, and of an external model without rows to evaluate it on
    run : None of what no process trained or loaded: a stub, a remote endpoint
    explanation : Redshift's EXPLAIN_MODEL as JSON; None where there is nothing to explain (clusters)
    statistics : distributions for the drift tests (see `evaluate.drift_reference`)
    messages : what the user should know (dropped rows, ignored columns, choices made)
    seconds : duration of each phase
    trained_at : when the training ended, in ISO 8601; empty of what no process trained or loaded
    """

    summary: ModelSummary
    deployed: DeployedFunctions
    evaluation: Evaluation | None = None
    run: RunReference | None = None
    explanation: dict[str, Any] | None = None
    statistics: dict[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    trained_at: str = ""


def registered_name(schema: str, name: str) -> str:
    """Return MLflow's name of a model: what its card is called, less MLflow's separators."""
    return f"{schema}.{name}".replace("/", "_").replace(":", "_")
