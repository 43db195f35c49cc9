"""Which estimators auto compares.

Input: the job's config. Output: `Candidate`, and unfitted estimators of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import xgboost
from sklearn.linear_model import LogisticRegression, Ridge

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
