"""Which estimators may be trained: the ones that auto compares, or the one that is configured.

Input: the job's config. Output: `Candidate`, and unfitted estimators of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import xgboost
from sklearn.linear_model import LogisticRegression, Ridge

from postgres_ml import hyperparameters
from postgres_ml.exceptions import SpecError
from postgres_ml.problem import Problem
from postgres_ml.spec import TrainingSpec

# Early stopping finds the number of trees. r89 is from AutoGluon's portfolio of 2023 (TabRepo); the others
# complement it. Larger learning rates than usual: at half of them the loss is 0.3 % less (diamonds, churn)
# for twice the trees, and every tree is SQL that each prediction runs.
XGBOOST_CANDIDATES: dict[str, dict[str, Any]] = {
    "xgboost r89": {
        "learning_rate": 0.088,
        "max_depth": 5,
        "min_child_weight": 0.63,
        "subsample": 0.8,
        "colsample_bytree": 0.663,
    },
    "xgboost deep": {
        "learning_rate": 0.08,
        "max_depth": 6,
        "subsample": 0.9,
        "colsample_bynode": 0.7,
        "reg_lambda": 3.0,
    },
    "xgboost shallow": {
        "learning_rate": 0.06,
        "max_depth": 3,
        "min_child_weight": 3.0,
        "subsample": 0.8,
        "colsample_bytree": 0.6,
    },
}


@dataclass(frozen=True)
class Candidate:
    """An estimator that may be trained.

    Parameters
    ----------
    name : for people
    model_type : 'xgboost' or 'linear_learner'
    parameters : of XGBClassifier, XGBRegressor, LogisticRegression or Ridge
    """

    name: str
    model_type: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def is_linear(self) -> bool:
        """Whether its columns are imputed and scaled."""
        return self.model_type == "linear_learner"


def automatic(spec: TrainingSpec) -> list[Candidate]:
    """Return the candidates that auto compares, the quickest first."""
    candidates = []
    if "linear_learner" in spec.model_types:
        candidates.append(Candidate("linear", "linear_learner"))
    if "xgboost" in spec.model_types:
        candidates += [Candidate(name, "xgboost", values) for name, values in XGBOOST_CANDIDATES.items()]
    return candidates


def configured(spec: TrainingSpec, problem: Problem) -> Candidate:
    """Return the one candidate of a config without auto: the library's defaults except `hyperparameters`.

    Raises
    ------
    SpecError
        A hyperparameter that doesn't exist, or not for this problem type.
    """
    model_type = spec.model_types[0]
    parameters = hyperparameters.check(model_type, spec.hyperparameters)
    if model_type == "linear_learner":
        known = _linear(problem, {}).get_params()
        wrong = [name for name in parameters if name not in known]
        if wrong:
            available = ", ".join(name for name, _ in hyperparameters.LINEAR.values() if name in known)
            raise SpecError(
                f"linear_learner has no {', '.join(wrong)} for a {problem.type}; it has {available}"
            )
        return Candidate("linear_learner", model_type, parameters)
    parameters.pop("num_class", None)  # checked against the classes seen; the library counts them itself
    if ":" in problem.objective:
        parameters["objective"] = _library_objective(problem)
    return Candidate("xgboost", model_type, parameters)


def _library_objective(problem: Problem) -> str:
    if problem.objective.startswith("multi:"):
        # softmax and softprob grow the same trees; only softprob tells probabilities
        return "multi:softprob" if len(problem.classes) > 2 else "binary:logistic"
    return problem.objective


def build_estimator(candidate: Candidate, problem: Problem, seed: int, n_threads: int, **more: Any) -> Any:
    """Return the candidate's unfitted estimator; `more` overrides its parameters."""
    parameters = {**candidate.parameters, **more}
    if candidate.is_linear:
        return _linear(problem, parameters)
    library = xgboost.XGBRegressor if problem.is_regression else xgboost.XGBClassifier
    return library(**{"random_state": seed, "n_jobs": n_threads, "verbosity": 1, **parameters})


def _linear(problem: Problem, parameters: dict[str, Any]) -> Any:
    if problem.is_regression:
        return Ridge(**parameters)
    return LogisticRegression(**{"max_iter": 1000, **parameters})
