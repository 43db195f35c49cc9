"""What to train and what came of it, typed, JSON both ways: the contract of dbt and the training process.

The adapter writes a `TrainingJob`, the training child reads it and writes a `TrainedModel`; both are files,
so that either side can be killed and read again. Imports nothing but the standard library: `dbt parse`
loads it.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

Kind = Literal["number", "boolean", "text", "date", "time", "timestamp", "timestamptz"]
ProblemType = Literal["regression", "binary_classification", "multiclass_classification", "clustering"]
Details = Literal["probabilities", "distances"]  # what a model tells of a row besides its prediction
T = TypeVar("T")

RESULT = "trained.json"  # in a job's directory: a `TrainedModel`, as soon as there is one
TRACKING_URI = "POSTGRES_ML_TRACKING_URI"  # environment of the training child: the job's file has no password


@dataclass(frozen=True)
class Column:
    """A column of the training query.

    Parameters
    ----------
    name : unquoted
    sql_type : format_type() without modifier: 'integer', 'character varying', 'numeric'
    kind : how a program reads it
    """

    name: str
    sql_type: str
    kind: Kind


@dataclass(frozen=True)
class Gate:
    """A condition on a metric of the hold-out: no publication without it.

    Parameters
    ----------
    severity : what becomes of the node when the condition isn't met; the serving version stays either way
    """

    metric: str
    operator: Literal[">=", ">", "<=", "<"]
    threshold: float
    severity: Literal["error", "warn"] = "error"


@dataclass(frozen=True)
class Settings:
    """SPEC 2, `settings`.

    Parameters
    ----------
    max_cells : rows x columns that may be trained on; above it rows are sampled
    max_runtime : seconds of wall clock for search, refit and evaluation
    max_trials : candidates that auto compares at most; None leaves it to max_runtime
    seed : seeds everything random
    holdout : fraction of the rows that scores are measured on, unless one of the following says which rows
    holdout_column : boolean or 0/1 column that is true in the rows to hold out
    holdout_time, holdout_after : the rows to hold out are those whose column `holdout_time` is at least
        `holdout_after`, a text that casts to the column's type
    min_rows : fewer rows than this are refused
    refit : whether the chosen pipeline is fitted again on all rows before it is published
    keep_versions : versions of the model that are kept for a rollback
    """

    max_cells: int = 1_000_000
    max_runtime: float = 5400.0
    max_trials: int | None = None
    seed: int = 0
    holdout: float = 0.2
    holdout_column: str | None = None
    holdout_time: str | None = None
    holdout_after: str | None = None
    min_rows: int = 500
    refit: bool = True
    keep_versions: int = 5

    @property
    def split_column(self) -> str | None:
        """The column that says which rows are held out, which is no feature; None for a fraction."""
        return self.holdout_column or self.holdout_time


@dataclass(frozen=True)
class ColumnSet:
    """SPEC 2, one entry of `preprocessors`: columns, and what becomes of them, in order.

    Parameters
    ----------
    columns : of the query; ('*',) is every feature that no other set names
    transformers : names of `transformer_chains.TRANSFORMERS`
    """

    columns: tuple[str, ...]
    transformers: tuple[str, ...]


@dataclass(frozen=True)
class Endpoint:
    """SPEC 2, `endpoint`: a service that predicts.

    Parameters
    ----------
    url : of the server; for protocol mlflow with '/invocations' or without
    protocol : 'mlflow', 'kserve' (Open Inference Protocol, v2) or 'sagemaker' (its runtime, CSV in and out)
    timeout : seconds that one request may take
    max_batch_rows : rows in one request of predict_table
    retries : after the first attempt, for errors that may pass
    model : the model's name on the server (kserve), or the target model of a multi-model endpoint (sagemaker)
    secret : row of postgres_ml.endpoint with what the server wants to be shown; None takes the host's row
    region : of AWS; None finds it in the url
    """

    url: str
    protocol: Literal["mlflow", "kserve", "sagemaker"] = "mlflow"
    timeout: float = 10.0
    max_batch_rows: int = 1000
    retries: int = 2
    model: str | None = None
    secret: str | None = None
    region: str | None = None


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
class TrainingSpec:
    """A create_model node's config, validated.

    Parameters
    ----------
    name, unique_id : the dbt model
    database, schema, function : where the prediction function goes, unquoted
    target : the column to predict; None for kmeans
    auto : whether the model type is chosen by cross-validation
    model_types : of 'xgboost', 'linear_learner', 'mlp' and 'kmeans'; one of them when not auto
    problem_type : None infers it from the target
    objective : None is the problem type's default; lower case
    preprocessors : None leaves them to the training; () is none at all
    hyperparameters : as `hyperparameters.check` takes them; only without auto
    runtime : 'auto', 'native', 'sql' or 'python'
    explain : whether `<function>_explain` is published too
    source : where a model made elsewhere is: an MLflow URI or a file; None trains one
    trust : whether the source may be loaded although that could run code
    endpoint : the service that predicts; None has predictions computed in the database
    arguments : of the function; () takes the query's columns, or the model's signature
    returns : SQL type of the prediction; None takes the target's, or the model's signature
    gates : what a new version has to reach to be published
    promote : 'always', or 'if_better' than the serving version
    retrain : 'on_change', 'always', 'never', or the age in seconds from which a version is replaced
    """

    name: str
    unique_id: str
    database: str
    schema: str
    function: str
    target: str | None
    auto: bool = True
    model_types: tuple[str, ...] = ("xgboost", "linear_learner", "mlp")
    problem_type: ProblemType | None = None
    objective: str | None = None
    preprocessors: tuple[ColumnSet, ...] | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    settings: Settings = Settings()
    runtime: str = "auto"
    explain: bool = False
    source: str | None = None
    trust: bool = False
    endpoint: Endpoint | None = None
    arguments: tuple[Column, ...] = ()
    returns: str | None = None
    gates: tuple[Gate, ...] = ()
    promote: Literal["always", "if_better"] = "always"
    retrain: str | float = "on_change"


@dataclass(frozen=True)
class OtherRelation:
    """A relation that a dbt model in Python reads besides its training rows.

    Parameters
    ----------
    name : as dbt's compiled code has it
    file : of its rows, in the form of `snapshot.bin`
    """

    name: str
    columns: tuple[Column, ...]
    file: str


@dataclass(frozen=True)
class TrainingJob:
    """Everything the training child needs; a JSON file in `directory`.

    Parameters
    ----------
    features, target : the query's columns in order, less the target and the split's column; and the target,
        None for kmeans
    directory : the child reads `snapshot.bin` here and writes all of its files here
    tracking_uri, experiment : MLflow; the password of the URI is hidden in the job's file
    tags : lead from the MLflow run back to dbt (unique_id, invocation_id, git commit, …)
    query : the compiled training query, for MLflow
    n_threads : cores this training may use
    lacking : for each runtime that the server can't run, why not, in words
    server_python_path : folder of the libraries on the server, for runtime python
    code : of a dbt model in Python, as dbt compiled it; None of one in SQL
    relation, others : for that code, the relation whose rows it trains on, and what else it reads
    resumes : whether an earlier build came to its result, which is in `directory`, and this one publishes it
    champion_file : JSON of the serving version, which the new one has to beat; empty if it needn't
    """

    spec: TrainingSpec
    features: tuple[Column, ...]
    target: Column | None
    directory: str
    tracking_uri: str
    experiment: str
    tags: dict[str, str]
    query: str
    n_threads: int = 1
    lacking: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(("native", "python"), "the server was not asked for it")
    )
    server_python_path: str | None = None
    code: str | None = None
    relation: str = ""
    others: tuple[OtherRelation, ...] = ()
    resumes: bool = False
    champion_file: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Features and, if there is one, the target."""
        return self.features if self.target is None else (*self.features, self.target)


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


def to_json(value: Any) -> str:
    """Return the dataclass as JSON text."""
    return json.dumps(dataclasses.asdict(value), ensure_ascii=False, indent=1)


def from_json(cls: type[T], text: str) -> T:
    """Return the dataclass that `to_json` wrote.

    Raises
    ------
    TypeError, KeyError
        The text was not written by `to_json` for this class.
    """
    return typing.cast(T, _build(cls, json.loads(text)))


def read(cls: type[T], path: Path) -> T:
    """Return the dataclass stored in a JSON file."""
    return from_json(cls, path.read_text(encoding="utf-8"))


def _build(annotation: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if dataclasses.is_dataclass(annotation):
        hints = typing.get_type_hints(annotation)
        return typing.cast(Any, annotation)(**{k: _build(hints[k], v) for k, v in value.items()})
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_build(kind, item) for kind, item in zip(kinds, value, strict=True))
    if origin in (types.UnionType, typing.Union) and value is not None:
        return _build(next(a for a in arguments if a is not type(None)), value)
    return value
