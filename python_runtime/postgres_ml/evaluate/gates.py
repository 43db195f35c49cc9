"""Whether a trained model may be published: its metrics on the hold-out against the config's gates."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from postgres_ml.contract.config import Gate
from postgres_ml.contract.exceptions import SpecError

OPERATORS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
#: the metrics of each problem type, as gates and the card name them
METRICS_BY_PROBLEM = {
    "classification": ("accuracy", "f1", "f1_macro", "auc", "log_loss", "precision", "recall"),
    "regression": ("mse", "rmse", "mae", "r2", "pinball", "interval_coverage", "interval_width"),
    "clustering": ("inertia", "silhouette"),
    "anomaly_detection": (
        *("anomaly_share", "score_mean", "score_median", "score_p95", "score_p99", "score_max"),
    ),
    "forecasting": (
        *("mase", "wape", "mape", "rmse", "mae", "average_weighted_quantile_loss", "coverage"),
        *("naive_mase", "naive_wape", "naive_rmse"),
    ),
}
OF_PROBABILITIES = ("auc", "log_loss")
#: how the names of metrics begin that a dbt model in Python returns
OWN_METRICS = "own_"
#: metrics of which less is better
LOWER_IS_BETTER = frozenset(
    {
        *("mse", "rmse", "mae", "log_loss", "inertia", "pinball", "interval_width"),
        *("mase", "wape", "mape", "average_weighted_quantile_loss"),
    }
)
#: metrics of which neither more nor less is better: they describe the scores of an anomaly detection, or say
#: whether intervals cover what they shall
NEUTRAL = frozenset(
    {
        *("anomaly_share", "score_mean", "score_median", "score_p95", "score_p99", "score_max"),
        "interval_coverage",
    }
)


@dataclass(frozen=True)
class Refusal:
    """Why a candidate is not published.

    Parameters
    ----------
    severity : error fails the node, warn lets it pass with the version that serves
    """

    text: str
    severity: Literal["error", "warn"]


def check_promotion(metric: str, score: float | None, champion: float | None, version: int) -> Refusal | None:
    """Return the refusal of a version that isn't better than the serving one; None if it is, or may be.

    Parameters
    ----------
    champion : the serving version's score on the same hold-out; None if the two can't be compared
    """
    if (
        champion is None
        or score is None
        or (score < champion if metric in LOWER_IS_BETTER else score > champion)
    ):
        return None
    text = f"promote: if_better: {metric} is {score:.6g}, v{version} has {champion:.6g} on the same hold-out"
    return Refusal(text, "warn")


def gate_problem(names: Iterable[str], problem_type: str, *, has_probabilities: bool = True) -> str:
    """Return which gates a model can never have the metric of, and what it has; '' for none.

    Parameters
    ----------
    names : of the gates' metrics
    has_probabilities : False of a classifier that knows none, such as one with a hinge loss
    """
    family = problem_type.removeprefix("binary_").removeprefix("multiclass_")
    without = () if has_probabilities else OF_PROBABILITIES
    known = [name for name in METRICS_BY_PROBLEM[family] if name not in without]
    wrong = [name for name in names if name not in known and not name.startswith(OWN_METRICS)]
    if not wrong:
        return ""
    return f"gates: this model has no {', '.join(wrong)}; one for {family} can have {', '.join(known)}"


def check_gates(gates: Sequence[Gate], metrics: Mapping[str, float]) -> Refusal | None:
    """Return the refusal that names every gate not met; None when all are.

    Raises
    ------
    SpecError
        A gate's metric is not among the model's.
    """
    unknown = [gate.metric for gate in gates if gate.metric not in metrics]
    if unknown:
        raise SpecError(f"gates: this model has no {', '.join(unknown)}; it has {', '.join(sorted(metrics))}")
    missed = [gate for gate in gates if not OPERATORS[gate.operator](metrics[gate.metric], gate.threshold)]
    if not missed:
        return None
    text = ", ".join(
        f"{gate.metric} is {metrics[gate.metric]:.4g}, not {gate.operator} {gate.threshold:g}"
        for gate in missed
    )
    is_error = any(gate.severity == "error" for gate in missed)
    return Refusal(f"gate not met: {text}", "error" if is_error else "warn")
