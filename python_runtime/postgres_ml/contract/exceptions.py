"""Every error this package raises on purpose. dbt shows their text, so they are written for its user."""

from __future__ import annotations


class PostgresMLError(Exception):
    """Base class: the message names the cause and the cure."""


class SpecError(PostgresMLError):
    """A configuration that can't be trained: unknown key, wrong value, not supported yet."""


class TrainingDataError(PostgresMLError):
    """The query's rows can't be trained on: too few, one class only, a column of a type not supported."""


class TrainingProcessError(PostgresMLError):
    """The training child died, or didn't start: killed by a signal, out of memory, a crash in a library."""


class TrainingCancelledError(PostgresMLError):
    """The training was stopped from outside: Ctrl-C, --fail-fast."""


class StorageError(PostgresMLError):
    """A file of the training can't be written: disk full, read-only, no permission."""


class TrackingError(PostgresMLError):
    """The MLflow tracking store can't be reached or written."""


class UnsupportedModelError(PostgresMLError):
    """A fitted estimator, attribute or option that no scoring program expresses exactly.

    Parameters
    ----------
    estimator : class name
    detail : the attribute or option, and its value
    hint : what the user can do
    """

    def __init__(self, estimator: str, detail: str, hint: str = "use runtime: python") -> None:
        super().__init__(f"{estimator}: {detail} can't be compiled to a function; {hint}")
        self.estimator = estimator
        self.detail = detail
        self.hint = hint


class ParityError(PostgresMLError):
    """The published function's predictions differ from the pipeline's own."""


class GateError(PostgresMLError):
    """A trained model that its config's gates don't let through."""


class ConcurrentBuildError(PostgresMLError):
    """Another build published a version of the model while this one trained."""


class EmbeddedServerError(PostgresMLError):
    """The embedded Postgres can't be found, started, joined or stopped."""


class ArtifactError(PostgresMLError):
    """A model from elsewhere, or a packed pipeline, that can't be read, trusted or run where it should."""


class EndpointError(PostgresMLError):
    """An HTTP scoring server that can't be used as a model."""
