"""What the training process is told: a JSON file that the adapter writes and the child reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from postgres_ml.contract.column import Column, as_arguments
from postgres_ml.contract.config import TrainingSpec

RESULT = "trained.json"  # in a job's directory: a `TrainedModel`, as soon as there is one
ROWS_READ = "rows_read"  # a field of the line that says that Dask's workers have read all rows
TRACKING_URI = "POSTGRES_ML_TRACKING_URI"  # environment of the training child: the job's file has no password


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
    weight : the column that says how much a row counts, which is no feature; None counts all alike
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
    dask_scheduler : address of the scheduler, for `compute: dask`; '' starts workers on this machine
    time_zone : of the database session, for the days of a forecast; None is UTC
    encoding : of the database, as the server names it
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
    weight: Column | None = None
    time_zone: str | None = None
    dask_scheduler: str = ""
    encoding: str = "UTF8"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Features and, if there is one, the target."""
        return self.features if self.target is None else (*self.features, self.target)

    @property
    def arguments(self) -> tuple[Column, ...]:
        """Features as arguments of the function."""
        return as_arguments(self.features)
