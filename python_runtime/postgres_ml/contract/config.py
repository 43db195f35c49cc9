"""A create_model node's config, validated: what the adapter reads from YAML and the training obeys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from postgres_ml.contract.column import Column
from postgres_ml.contract.forecast import DEFAULT_PERCENTILES

ProblemType = Literal[
    "regression",
    "binary_classification",
    "multiclass_classification",
    "clustering",
    "anomaly_detection",
    "forecasting",
]


@dataclass(frozen=True)
class Gate:
    """A condition on a metric of the hold-out that a new version has to meet to be published.

    Parameters
    ----------
    severity : whether the node fails or warns if the condition isn't met; the serving version stays
    """

    metric: str
    operator: Literal[">=", ">", "<=", "<"]
    threshold: float
    severity: Literal["error", "warn"] = "error"


@dataclass(frozen=True)
class Settings:
    """Limits of the training, and which rows are held out: the config's `settings`.

    Parameters
    ----------
    max_cells : rows x columns that may be trained on; above it rows are sampled
    max_memory : bytes that the training process may take; above it rows are read from disk. None takes a
        share of what the machine or the cgroup has
    compute : where the rows are in memory: this machine, or Dask's workers
    max_runtime : seconds of wall clock for search, refit and evaluation
    max_trials : candidates that the search compares at most; None leaves it to max_runtime
    seed : seeds everything random
    holdout : fraction of the rows that scores are measured on, unless one of the following says which rows
    holdout_column : boolean or 0/1 column that is true in the rows to hold out
    holdout_time, holdout_after : the rows to hold out are those whose column `holdout_time` is at least
        `holdout_after`: a number, or a date or time in ISO 8601, in UTC where it has no offset
    min_rows : fewer rows than this are refused
    refit : whether the chosen pipeline is fitted again on all rows before it is published
    keep_versions : versions of the model that are kept for a rollback
    horizon : steps after a series' last row that a forecast tells; None of other models
    frequency : one of `forecast.FREQUENCIES`; None finds it in the times
    sql_tolerance : share of the loss that may be given up for a candidate that SQL computes fast
    percentiles : what a forecast tells of each step, of 'mean' and numbers from 0.01 to 0.99, as
        `forecast.ordered` returns them
    """

    max_cells: int = 1_000_000
    max_memory: int | None = None
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
    horizon: int | None = None
    frequency: str | None = None
    percentiles: tuple[str, ...] = DEFAULT_PERCENTILES
    compute: Literal["local", "dask"] = "local"
    sql_tolerance: float = 0.015

    @property
    def split_column(self) -> str | None:
        """The column that says which rows are held out, which is no feature; None for a fraction."""
        return self.holdout_column or self.holdout_time


@dataclass(frozen=True)
class ColumnSet:
    """One entry of the config's `preprocessors`: columns, and the transformers that they go through.

    Parameters
    ----------
    columns : of the query; ('*',) is every feature that no other set names
    transformers : names of `features.transformer_rules.TRANSFORMERS`, in the order in which they apply
    max_features, min_df : of a TextVectorizer: terms to keep of each column, and rows that a term has to be
        in; None is the transformer's own
    terms : of a TextVectorizer: 'words', 'pairs' or 'both', which is what None stands for
    """

    columns: tuple[str, ...]
    transformers: tuple[str, ...]
    max_features: int | None = None
    min_df: int | None = None
    terms: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """A service that predicts: the config's `endpoint`.

    Parameters
    ----------
    url : of the server; for protocol mlflow with '/invocations' or without
    protocol : 'mlflow', 'kserve' (Open Inference Protocol, v2) or 'sagemaker' (its runtime, CSV in and out)
    timeout : seconds that one request may take
    max_batch_rows : rows in one request of predict_table
    retries : after the first attempt, for errors that may pass
    model : the model's name on the server (kserve), or the target model of a multi-model endpoint (sagemaker)
    secret : name of the row of postgres_ml.endpoint with the service's credentials; None finds it by the url
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
class TrainingSpec:
    """A create_model node's config, validated.

    Parameters
    ----------
    name, unique_id : the dbt model
    database, schema, function : where the prediction function goes, unquoted
    target : the column to predict; None for kmeans and isolation_forest
    weight : the column that says how much a row counts, which is no feature; None counts all alike
    auto : whether the model type is chosen by cross-validation
    model_types : of 'xgboost', 'linear_learner', 'mlp', 'additive', 'kmeans', 'isolation_forest' and
        'forecast'; one of them when not auto
    problem_type : None infers it from the target
    objective : None is the problem type's default; lower case
    preprocessors : None leaves them to the training; () is none at all
    hyperparameters : as `fit.hyperparameters.check` takes them; only without auto
    runtime : 'auto', 'native', 'sql' or 'python'
    interval : share of rows whose true value `<function>_interval` shall cover; None publishes none
    explain : whether `<function>_explain` is published too
    source : where a model made elsewhere is: an MLflow URI or a file; None trains one
    trust : whether the source may be loaded although that could run code
    endpoint : the service that predicts; None has predictions computed in the database
    arguments : of the function; () takes the query's columns, or the model's signature
    returns : SQL type of the prediction; None takes the target's, or the model's signature
    gates : conditions on the hold-out's metrics that a new version has to meet to be published
    promote : 'always', or 'if_better' than the serving version
    reindex : whether a new version reindexes the indexes that call the function
    retrain : 'on_change', 'always', 'never', or the age in seconds from which a version is replaced
    time : of a forecast, the column that orders the rows; None finds it
    series : of a forecast, the columns that tell series apart; None takes all but time and target
    """

    name: str
    unique_id: str
    database: str
    schema: str
    function: str
    target: str | None
    auto: bool = True
    model_types: tuple[str, ...] = ("xgboost", "linear_learner", "mlp", "additive")
    problem_type: ProblemType | None = None
    objective: str | None = None
    preprocessors: tuple[ColumnSet, ...] | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    settings: Settings = Settings()
    runtime: str = "auto"
    interval: float | None = None
    weight: str | None = None
    explain: bool = False
    source: str | None = None
    trust: bool = False
    endpoint: Endpoint | None = None
    arguments: tuple[Column, ...] = ()
    returns: str | None = None
    gates: tuple[Gate, ...] = ()
    promote: Literal["always", "if_better"] = "always"
    retrain: str | float = "on_change"
    reindex: bool = True
    time: str | None = None
    series: tuple[str, ...] | None = None

    @property
    def is_forecast(self) -> bool:
        """Whether series are forecast, and no rows scored."""
        return self.model_types == ("forecast",)

    @property
    def reference(self) -> str:
        """How another dbt model names it in ref() and predict(): 'churn', or 'churn', v=2."""
        _, _, name, *version = self.unique_id.split(".")
        if not version:
            return f"'{name}'"
        v = ".".join(version).removeprefix("v")
        return f"'{name}', v={v}" if v.isdigit() else f"'{name}', v='{v}'"

    @property
    def quantile(self) -> float | None:
        """The quantile that objective reg:quantileerror predicts, 0 to 1; None with any other objective."""
        if self.objective != "reg:quantileerror":
            return None
        found = {name.lower(): value for name, value in self.hyperparameters.items()}
        return float(found["quantile_alpha"])

    @property
    def has_anomaly_rule(self) -> bool:
        """Whether an isolation_forest also says which rows are anomalies: where contamination is given."""
        return any(name.lower() == "contamination" for name in self.hyperparameters)
