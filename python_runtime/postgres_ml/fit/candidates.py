"""What may be trained: `Candidate`, and unfitted estimators of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import xgboost
from sklearn.linear_model import LogisticRegression, Ridge

from postgres_ml.components.estimators import LogTargetRegressor
from postgres_ml.components.neural_network import NetworkClassifier, NetworkRegressor
from postgres_ml.features.problem import Problem


@dataclass(frozen=True)
class Candidate:
    """An estimator that may be trained, and the columns it reads.

    Parameters
    ----------
    name : for people
    model_type : 'xgboost', 'linear_learner', 'mlp'; 'ensemble' for a blend of several
    parameters : of XGBClassifier, XGBRegressor, LogisticRegression, Ridge, NetworkClassifier or
        NetworkRegressor
    encoding : how columns become numbers (see `preprocess.encoded_columns`); '' is the least
        encoding that the model type needs
    log_target : whether the logarithm of the target is learnt
    """

    name: str
    model_type: str
    parameters: dict[str, Any] = field(default_factory=dict)
    encoding: str = ""
    log_target: bool = False

    @property
    def is_linear(self) -> bool:
        """Whether its columns are imputed and scaled."""
        return self.model_type == "linear_learner"


def build_estimator(candidate: Candidate, problem: Problem, seed: int, n_threads: int, **more: Any) -> Any:
    """Return the candidate's unfitted estimator; `more` overrides its parameters.

    Parameters
    ----------
    seed : for candidates whose parameters have none
    """
    parameters = {**candidate.parameters, **more}
    if candidate.is_linear:
        estimator = linear_model(problem, parameters)
    elif candidate.model_type == "mlp":
        network = NetworkRegressor if problem.is_regression else NetworkClassifier
        estimator = network(**{"random_state": seed, **parameters})
    else:
        library = xgboost.XGBRegressor if problem.is_regression else xgboost.XGBClassifier
        estimator = library(**{"random_state": seed, "n_jobs": n_threads, "verbosity": 1, **parameters})
    return LogTargetRegressor(estimator) if candidate.log_target else estimator


def linear_model(problem: Problem, parameters: dict[str, Any]) -> Any:
    """Return the unfitted linear model of the problem type."""
    if problem.is_regression:
        return Ridge(**parameters)
    return LogisticRegression(**{"max_iter": 1000, **parameters})
