"""What may be trained: `Candidate`, and unfitted estimators of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import xgboost
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from postgres_ml.components.additive import AdditiveClassifier, AdditiveRegressor
from postgres_ml.components.estimators import LogTargetRegressor
from postgres_ml.components.neural_network import NetworkClassifier, NetworkRegressor
from postgres_ml.features.problem import Problem

# Networks fitted on all rows from different seeds, in the place of one: their mean is within 1 % of folds'
# five on each of five sets (concrete: rmse 3.83 and 3.82), single ones up to 10 % worse (3.77 to 4.28).
# That was with 1.15 times the folds' epochs; with 1.0 times the worst set was 3.2 % worse.
N_NETWORKS = 3


@dataclass(frozen=True)
class Member:
    """One estimator of what is fitted, or that another one learns from.

    Parameters
    ----------
    n_rounds : trees per class, or epochs of a network; None leaves it to the candidate's parameters
    weight : of its predictions, among all members
    """

    candidate: Candidate
    n_rounds: int | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Candidate:
    """An estimator that may be trained, and the columns it reads.

    Parameters
    ----------
    name : of the recipe, for the table of trials
    model_type : 'xgboost', 'linear_learner', 'mlp', 'additive', 'extra_trees'; 'ensemble' for a blend
    parameters : of XGBClassifier, XGBRegressor, LogisticRegression, Ridge, NetworkClassifier,
        NetworkRegressor, AdditiveClassifier, AdditiveRegressor, ExtraTreesClassifier or ExtraTreesRegressor
    encoding : how columns become numbers (see `preprocess.encoded_columns`); '' is the least
        encoding that the model type needs
    log_target : whether the logarithm of the target is learnt
    below : whose scores, out of fold, are columns as well: a network of a stack
    title : for people; '' where it follows from the rest
    """

    name: str
    model_type: str
    parameters: dict[str, Any] = field(default_factory=dict)
    encoding: str = ""
    log_target: bool = False
    below: tuple[Member, ...] = ()
    title: str = ""

    @property
    def shown(self) -> str:
        """What a person calls it, who knows no library: the kind of model, and what tells it from others."""
        if self.title or self.model_type not in _DESCRIBED:
            return self.title or self.name
        return _DESCRIBED[self.model_type](self) + " of the logarithm" * self.log_target

    @property
    def is_linear(self) -> bool:
        """Whether its columns are imputed and scaled."""
        return self.model_type == "linear_learner"


def _trees(candidate: Candidate) -> str:
    known = candidate.parameters
    leaves = known.get("max_leaves")
    size = f"{leaves} leaves" if leaves else f"depth {known.get('max_depth', 6)}"
    return f"boosted trees, {size}"


def _line(candidate: Candidate) -> str:
    kind = "linear model with bends" if candidate.encoding == "ladder" else "linear model"
    known = candidate.parameters
    strength = known.get("C") or 1 / known.get("alpha", 1.0)
    return kind if strength == 1 else f"{kind}, penalty {1 / strength:.2g}"


def _network(candidate: Candidate) -> str:
    widths = candidate.parameters.get("hidden_layer_sizes", ())
    kind = {"ladder": "neural network with bends", "smooth": "neural network of smoothed numbers"}
    layers = f", {' x '.join(map(str, widths))}" if widths else ""
    stacked = f" on the scores of {len(candidate.below)} others" if candidate.below else ""
    return f"{kind.get(candidate.encoding, 'neural network')}{stacked}{layers}"


def _tables(candidate: Candidate) -> str:
    n_pairs = candidate.parameters.get("interactions", 0)
    return "additive tables" if n_pairs else "additive tables without pairs"


def _forest(candidate: Candidate) -> str:
    return f"{candidate.parameters['n_estimators']} extremely randomized trees"


def blend_title(members: Sequence[Candidate]) -> str:
    """Return 'blend of 3 boosted trees and 1 neural network', the most frequent kind first."""
    kinds = {
        "xgboost": "boosted trees", "linear_learner": "linear model", "mlp": "neural network",
        "additive": "additive model", "extra_trees": "extremely randomized trees",
    }  # fmt: skip
    counts = Counter(kinds.get(member.model_type, member.model_type) for member in members)
    parts = [f"{n} {kind}{'s' * (n > 1 and not kind.endswith('s'))}" for kind, n in counts.most_common()]
    return "blend of " + " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


_DESCRIBED: dict[str, Callable[[Candidate], str]] = {
    "xgboost": _trees, "linear_learner": _line, "mlp": _network, "additive": _tables, "extra_trees": _forest
}  # fmt: skip


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
    elif candidate.model_type == "additive":
        tables = AdditiveRegressor if problem.is_regression else AdditiveClassifier
        estimator = tables(**{"random_state": seed, "n_jobs": n_threads, **parameters})
    elif candidate.model_type == "extra_trees":
        forest = ExtraTreesRegressor if problem.is_regression else ExtraTreesClassifier
        estimator = forest(**{"random_state": seed, "n_jobs": n_threads, **parameters})
    else:
        library = xgboost.XGBRegressor if problem.is_regression else xgboost.XGBClassifier
        estimator = library(**{"random_state": seed, "n_jobs": n_threads, "verbosity": 1, **parameters})
    return LogTargetRegressor(estimator) if candidate.log_target else estimator


def reseeded(candidate: Candidate, number: int) -> Candidate:
    """Return the network with another seed, as one of those that stand for it."""
    if number == 0:
        return candidate
    seed = candidate.parameters["random_state"] + 1000 * number
    parameters = {**candidate.parameters, "random_state": seed}
    return replace(candidate, name=f"{candidate.name} seed {seed}", parameters=parameters)


def linear_model(problem: Problem, parameters: dict[str, Any]) -> Any:
    """Return the unfitted linear model of the problem type."""
    if problem.is_regression:
        return Ridge(**parameters)
    return LogisticRegression(**{"max_iter": 1000, **parameters})
