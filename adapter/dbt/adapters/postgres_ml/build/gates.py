"""Whether a trained model may take the place of the one that serves, and what is said if it may not."""

from __future__ import annotations

from dbt.adapters.postgres_ml.build.trained import Result
from dbt.adapters.postgres_ml.catalog.read import StoredVersion

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import GateError
from postgres_ml.contract.model import Evaluation
from postgres_ml.evaluate import gates
from postgres_ml.evaluate.gates import Refusal


def check_gates(result: Result) -> Refusal | None:
    """Return why a result is not published, None if it is; MLflow and the log are told.

    The files of a refused result stay, for a build with other gates.

    Raises
    ------
    GateError
        The gate is one of severity error, or nothing serves that could be kept.
    SpecError
        A gate names a metric that the model hasn't.
    """
    build, trained, serving = result.build, result.trained, result.plan.serving
    if result.plan.action == "stub":  # it predicts NULL whatever the gates ask for
        return None
    if build.is_remote:  # a service is evaluated by the functions themselves, in the publishing transaction
        return None
    evaluation = trained.evaluation
    if build.spec.promote == "if_better" and evaluation is not None and evaluation.champion_note:
        build.log("info", evaluation.champion_note)
    refusal = find_refusal(build.spec, evaluation, serving)
    if refusal is None:
        return None
    if result.process is not None:
        result.process.refuse(refusal.text)
    run_id = "" if trained.run is None else trained.run.run_id
    build.log("warning", refusal_text(refusal, serving, run_id))
    return refusal


def find_refusal(
    spec: TrainingSpec, evaluation: Evaluation | None, serving: StoredVersion | None
) -> Refusal | None:
    """Return why gates or `promote: if_better` keep a model from being published; None if nothing does.

    Raises
    ------
    SpecError
        A gate names a metric that the model hasn't.
    """
    refusal = gates.check_gates(spec.gates, {} if evaluation is None else evaluation.metrics)
    if refusal is not None or spec.promote == "always" or evaluation is None or serving is None:
        return refusal
    return gates.check_promotion(
        evaluation.metric, evaluation.score, evaluation.champion_score, serving.version
    )


def refusal_text(refusal: Refusal, serving: StoredVersion | None, run_id: str) -> str:
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
