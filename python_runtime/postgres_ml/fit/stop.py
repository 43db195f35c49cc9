"""How a fit ends at the deadline with what it has learned, and leaves no clock behind in what is pickled."""

from __future__ import annotations

import time
from typing import Any

import xgboost
from sklearn.neural_network._multilayer_perceptron import BaseMultilayerPerceptron
from sklearn.pipeline import FeatureUnion, Pipeline

from postgres_ml.components.additive import AdditiveClassifier, AdditiveRegressor
from postgres_ml.components.estimators import BlendedClassifier, BlendedRegressor
from postgres_ml.components.neural_network import NetworkClassifier, NetworkRegressor
from postgres_ml.components.stacking import OutOfFoldScores
from postgres_ml.fit.task import Deadline

MOST_CONDITIONS = 38_000  # of the 40,000 that the function bears: rounds differ in size


class LateAt:
    """Tells a fit that asks after each round, as an additive model's does, when the deadline has passed.

    Attributes
    ----------
    times : processor seconds of the thread, after each round; of an additive model of all its bags
    is_late : whether the last round ended after the deadline
    """

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self.deadline = deadline
        self.times: list[float] = []
        self.is_late = False

    def __call__(self) -> bool:
        """Return whether to stop."""
        self.times.append(time.thread_time())
        self.is_late = self.deadline.passed
        return self.is_late


class StopAtDeadline(LateAt, xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Ends boosting when the deadline has passed; the trees so far are an estimator."""

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether to stop."""
        return self()


class StopAtSize(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Ends boosting before its trees have more conditions than a function that explains them can hold.

    A condition is a leaf and a feature on its path; counted is what the leaves' depths allow at most.
    """

    def __init__(self, most: int = MOST_CONDITIONS) -> None:
        super().__init__()
        self.most = most
        self.n_conditions = self._largest = 0

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether one more round could be too much."""
        lines = "".join(model[epoch : epoch + 1].get_dump()).splitlines()
        n_features = model.num_features()
        depths = [len(line) - len(line.lstrip("\t")) for line in lines if "leaf=" in line]
        n = sum(min(depth, n_features) for depth in depths)
        self.n_conditions, self._largest = self.n_conditions + n, max(self._largest, n)
        return self.n_conditions + self._largest > self.most


def stoppable_network(library: type[BaseMultilayerPerceptron], deadline: Deadline) -> type:
    """Return a subclass of scikit-learn's MLPClassifier or MLPRegressor that ends at the deadline.

    These networks take no callbacks, so the subclass stops where each batch is computed. sgd and adam end
    there as after Ctrl-C, which scikit-learn takes for the end of a training; with `early_stopping` after an
    epoch at the earliest, because it goes back to the best one. lbfgs ends where the slope is zero, so that
    is what it is told.
    """

    def in_time(self: Any, *given: Any, **named: Any) -> tuple[float, list[Any], list[Any]]:
        late = deadline.passed
        if late and self.solver != "lbfgs" and (self.n_iter_ or not self.early_stopping):
            raise KeyboardInterrupt
        loss, weights, intercepts = library._backprop(self, *given, **named)
        if late and self.solver == "lbfgs":
            for slope in (*weights, *intercepts):
                slope[:] = 0
        return loss, weights, intercepts

    return type(library.__name__, (library,), {"_backprop": in_time})


def forget_clock(estimator: Any) -> None:
    """Take this process's clock out of all estimators inside: it must not be pickled with them."""
    if isinstance(estimator, xgboost.XGBModel):
        estimator.set_params(callbacks=None)
    elif isinstance(estimator, NetworkClassifier | NetworkRegressor | AdditiveClassifier | AdditiveRegressor):
        estimator.is_late = None
    elif isinstance(estimator, BaseMultilayerPerceptron) and "_backprop" in vars(type(estimator)):
        estimator.__class__ = type(estimator).__base__  # the library's own class again
    elif isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            forget_clock(step)
    elif isinstance(estimator, FeatureUnion):
        for _, part in estimator.transformer_list:
            forget_clock(part)
    for name in ("estimator", "estimator_", "regressor", "regressor_"):
        if hasattr(estimator, name):
            forget_clock(getattr(estimator, name))
    if isinstance(estimator, BlendedClassifier | BlendedRegressor | OutOfFoldScores):
        fitted = getattr(estimator, "estimators_", ())  # none where it is the parameter of another
        for part in (*(inner for _, inner in estimator.estimators), *fitted):
            forget_clock(part)
