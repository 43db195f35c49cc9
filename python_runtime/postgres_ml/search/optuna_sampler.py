"""Candidates beyond the portfolio, proposed by Optuna's tree-structured Parzen estimator.

It begins with what the portfolio's trials found. Proposals are asked for in rounds, and told in the order of
asking, so that they follow from the seed alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.portfolio import is_wanted

SPACES: dict[str, dict[str, BaseDistribution]] = {
    "xgboost": {
        "learning_rate": FloatDistribution(0.015, 0.3, log=True),
        "max_depth": IntDistribution(2, 12),
        "min_child_weight": FloatDistribution(1e-2, 50.0, log=True),
        "reg_lambda": FloatDistribution(1e-2, 50.0, log=True),
        "subsample": FloatDistribution(0.5, 1.0),
        "colsample_bynode": FloatDistribution(0.3, 1.0),
        "max_cat_to_onehot": CategoricalDistribution((4, 100)),
    },
    "mlp": {
        "learning_rate": FloatDistribution(0.003, 0.15, log=True),
        "dropout": FloatDistribution(0.0, 0.5),
        "weight_decay": FloatDistribution(1e-3, 1.0, log=True),
        "encoding": CategoricalDistribution(("quantile", "ladder", "smooth")),
    },
    "linear_learner": {
        "strength": FloatDistribution(1e-4, 100.0, log=True),
        "encoding": CategoricalDistribution(("scaled", "ladder", "quantile")),
    },
    "additive": {
        "learning_rate": FloatDistribution(0.03, 0.3, log=True),
        "max_leaves": IntDistribution(2, 8),
        "interactions": IntDistribution(0, 20),
        "min_child_weight": FloatDistribution(0.5, 50.0, log=True),
    },
}
DEFAULTS = {"min_child_weight": 1.0, "reg_lambda": 1.0, "subsample": 1.0, "max_cat_to_onehot": 100}


class Sampler:
    """Proposes candidates of the strongest model type that is wanted: xgboost, else mlp, linear or additive.

    Parameters
    ----------
    trials : of the portfolio; the first of the model type gives what isn't searched
    """

    def __init__(self, task: Task, trials: Sequence[Trial]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        present = {trial.candidate.model_type for trial in trials if trial.state == "done"}
        self.model_type = next(
            kind for kind in SPACES if kind in present and (is_wanted(kind, task) or len(present) == 1)
        )
        self.space = SPACES[self.model_type]
        if not task.columns.numbers and "encoding" in self.space:
            only = "quantile" if self.model_type == "mlp" else "scaled"
            self.space = {**self.space, "encoding": CategoricalDistribution((only,))}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=task.spec.settings.seed, multivariate=True, constant_liar=True, n_startup_trials=5
            )
        self.study = optuna.create_study(sampler=sampler)
        self._asked: list[optuna.Trial] = []
        self._n = 0
        alike = [trial for trial in trials if trial.candidate.model_type == self.model_type]
        self._base = alike[0].candidate
        for trial in alike:
            self._remember(trial)

    def ask(self, n: int) -> list[Candidate]:
        """Return n new candidates."""
        self._asked = [self.study.ask(self.space) for _ in range(n)]
        return [self._candidate(trial.params) for trial in self._asked]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take in the trials of the candidates that were asked for last."""
        for asked, trial in zip(self._asked, trials, strict=False):  # time may have cut the round
            if trial.state == "done":
                self.study.tell(asked, trial.loss)
            elif trial.state == "pruned":
                asked.report(trial.loss, 0)
                self.study.tell(asked, state=TrialState.PRUNED)
            else:
                self.study.tell(asked, state=TrialState.FAIL)

    def _remember(self, trial: Trial) -> None:
        """Tell the study of a trial that it didn't propose, if its space has that candidate."""
        values = self._values(trial.candidate)
        if trial.state != "done" or values is None:
            return
        self.study.add_trial(
            optuna.trial.create_trial(params=values, distributions=self.space, value=trial.loss)
        )

    def _values(self, candidate: Candidate) -> dict[str, Any] | None:
        given = {**DEFAULTS, **candidate.parameters, "encoding": candidate.encoding}
        if candidate.log_target or given.get("grow_policy") == "lossguide" or "n_estimators" in given:
            return None
        share = 1.0
        for name in ("colsample_bytree", "colsample_bylevel", "colsample_bynode"):
            share *= given.get(name, 1.0)
        given["colsample_bynode"] = share
        given["strength"] = given["C"] if "C" in given else 1 / given.get("alpha", 1.0)
        values = {}
        for name, distribution in self.space.items():
            value = given[name]
            if isinstance(distribution, FloatDistribution):
                value = min(max(value, distribution.low), distribution.high)
            if isinstance(distribution, CategoricalDistribution) and value not in distribution.choices:
                return None
            if not distribution._contains(distribution.to_internal_repr(value)):
                return None
            values[name] = value
        return values

    def _candidate(self, values: dict[str, Any]) -> Candidate:
        self._n += 1
        values = {key: value if isinstance(value, str) else _short(value) for key, value in values.items()}
        encoding = values.pop("encoding", self._base.encoding)
        if self.model_type == "linear_learner":
            strength = values.pop("strength")
            values = {"alpha": _short(1 / strength)} if "alpha" in self._base.parameters else {"C": strength}
        elif self.model_type in ("mlp", "additive"):
            values = {**self._base.parameters, **values}
        return Candidate(
            f"{self._base.name.split()[0]} search {self._n}", self.model_type, values, encoding=encoding
        )


def _short(value: float) -> float:
    """Return the number with three digits: more of them tell nothing, and are hard to read."""
    if isinstance(value, int) or value == 0:
        return value
    return round(value, 2 - math.floor(math.log10(abs(value))))
