"""Two trials by the same rows: by how much they differ, and how much of that may be luck."""

from __future__ import annotations

from postgres_ml.evaluate import metrics as evaluate
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial

# By how many its score may be below the single one's, which is the greatest of a dozen and so partly luck: at
# one, a blend on churn_ibm_telco was refused that was better in log loss (0.4190, not 0.4206) for f1 at 1.01.
WORSE_ERRORS = 2.0


def worse_metric(task: Task, first: Trial, second: Trial, margin: float = 0.0) -> bool:
    """Return whether the first trial's score by the objective is below the second's beyond luck.

    Parameters
    ----------
    margin : share of the second's score that may be lost as well
    """
    metric = task.problem.metric
    lost = second.score - first.score
    return lost > margin * abs(second.score) and lost > WORSE_ERRORS * error_of(task, first, second, metric)


def score_of(task: Task, metric: str, trial: Trial) -> float:
    """Return the trial's score, the greater the better."""
    return _function(task, metric, trial)(trial.truth, trial.raw, trial.weight)


def error_of(task: Task, first: Trial, second: Trial, metric: str) -> float:
    """Return the standard error of the difference of two trials' scores."""
    pair = [(_function(task, metric, trial), trial.raw) for trial in (first, second)]
    return evaluate.standard_error_of_difference(first.truth, pair[0], pair[1], first.weight)


def _function(task: Task, metric: str, trial: Trial) -> evaluate.Score:
    return evaluate.score_function(task.problem, metric, trial.threshold)
