"""Whether a trained model may take the place of the one that serves, and what is said if it may not."""

from __future__ import annotations

from dbt.adapters.postgres_ml.catalog.read import StoredVersion

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import GateError
from postgres_ml.contract.model import TrainedModel
from postgres_ml.evaluate.gates import Refusal, check_gates, check_promotion


def find_refusal(spec: TrainingSpec, trained: TrainedModel, serving: StoredVersion | None) -> Refusal | None:
    """Return why gates or `promote: if_better` keep a model from being published; None if nothing does.

    Raises
    ------
    SpecError
        A gate names a metric that the model hasn't.
    """
    refusal = check_gates(spec.gates, trained.metrics)
    if refusal is not None or spec.promote == "always" or trained.score is None or serving is None:
        return refusal
    return check_promotion(trained.metric, trained.score, trained.champion_score, serving.version)


def say_refusal(refusal: Refusal, serving: StoredVersion | None, run_id: str) -> str:
    """Return the warning that a version is refused, and which one serves on.

    Raises
    ------
    GateError
        The gate is one of severity error, or nothing serves that could be kept.
    """
    kept = f"v{serving.version} serves on" if serving else "nothing serves"
    run = f" (MLflow run {run_id})" if run_id else ""  # an endpoint has none
    text = f"{refusal.text}; the new version is refused, {kept}{run}"
    if refusal.severity == "error" or serving is None:
        raise GateError(text)
    return text
