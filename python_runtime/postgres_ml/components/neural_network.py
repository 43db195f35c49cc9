"""Small neural networks in NumPy, for tables: dense layers with silu between them.

scikit-learn's MLP has no silu, no dropout and no learnt scale of its inputs, which the strongest small
tabular networks use. These are plain scikit-learn estimators; fitted weights have scikit-learn's names, so
one parser reads both. How they are trained is in `network_training`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from postgres_ml.components.estimators import mean_and_deviation
from postgres_ml.components.neural_network_training import ACTIVATIONS, Examples, Layers, train

Floats = npt.NDArray[np.float64]
# Rows whose hidden layers are in memory at once: 400,000 of them took 410 MB for each layer of 128.
PREDICTED_AT_ONCE = 16_384


class _Network(BaseEstimator):  # type: ignore[misc]
    """What both networks have in common. Subclasses say what the outputs mean."""

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (64,),
        activation: str = "silu",
        learning_rate: float = 0.02,
        n_epochs: int = 100,
        stop_epoch: int | None = None,
        patience: float = 1.0,
        batch_size: int = 128,
        dropout: float = 0.0,
        weight_decay: float = 0.0,
        random_state: int | None = None,
        is_late: Callable[[], bool] | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.stop_epoch = stop_epoch
        self.patience = patience
        self.batch_size = batch_size
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.random_state = random_state
        self.is_late = is_late

    def _train(
        self, X: Any, targets: Any, validation: Examples | None, link: str, weight: Any = None
    ) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}; use one of {', '.join(ACTIVATIONS)}")
        examples = Examples(X, targets, _relative(weight))
        layers, self.best_epoch_, self.n_iter_ = train(self.get_params(), examples, validation, link)
        self.coefs_ = [weights.astype(np.float64) for weights in layers.weights]
        self.intercepts_ = [intercepts.astype(np.float64) for intercepts in layers.intercepts]

    def scores(self, X: Any) -> Floats:
        """Return the last layer's sums, of shape (n_rows, n_outputs); two classes have one output."""
        check_is_fitted(self)
        values: Floats = validate_data(self, X, dtype=np.float64, reset=False)
        layers = Layers(self.coefs_, self.intercepts_, self.activation)
        parts = [
            layers.outputs(values[start : start + PREDICTED_AT_ONCE])
            for start in range(0, len(values), PREDICTED_AT_ONCE)
        ]
        return np.concatenate(parts)


class NetworkRegressor(RegressorMixin, _Network):  # type: ignore[misc]
    """A network for numbers, least squares. Standardise the features first; the target it does itself.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
    activation : {'silu', 'relu', 'tanh'}
    learning_rate : float
        Of Adam for a layer of one input; a layer of n inputs has learning_rate / sqrt(n).
    n_epochs, batch_size : int
    stop_epoch : int or None
        End after this many of the `n_epochs` that the schedule of learning rates is made for.
    patience : float
        With validation rows, end when the best epoch is this share of `n_epochs` ago.
    dropout : float
        Share of hidden units left out in each step.
    weight_decay : float
        Share of each weight that is taken off in a step of learning rate 1.
    random_state : int or None
    is_late : callable or None
        Asked after each epoch; training ends with the epoch that makes it true.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights of shape (n_inputs, n_outputs) and intercepts of each layer.
    out_activation_ : 'identity'
    best_epoch_ : int
        Epochs after which the loss on the validation rows was least; the last epoch without them.
    n_iter_ : int
        Epochs that were run.
    """

    def fit(
        self,
        X: Any,
        y: Any,
        validation: tuple[Any, Any] | None = None,
        sample_weight: Any = None,
        validation_weight: Any = None,
    ) -> NetworkRegressor:
        """Train on rows of finite numbers.

        Parameters
        ----------
        validation : features and target of rows that tell which epoch's weights are kept
        sample_weight, validation_weight : of shape (n_rows,), how much each row counts; None counts all alike
        """
        features, target = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        target = np.asarray(target, dtype=np.float64)
        center, scale = mean_and_deviation(target, sample_weight)

        def scaled(values: Any) -> Any:
            return ((np.asarray(values, dtype=np.float64) - center) / scale).astype(np.float32)[:, None]

        self.out_activation_ = "identity"
        held = (
            None
            if validation is None
            else Examples(
                np.asarray(validation[0], dtype=np.float32),
                scaled(validation[1]),
                _relative(validation_weight),
            )
        )
        self._train(features, scaled(target), held, "identity", sample_weight)
        # the target's own scale goes into the last layer
        self.coefs_[-1] = self.coefs_[-1] * scale
        self.intercepts_[-1] = self.intercepts_[-1] * scale + center
        return self

    def predict(self, X: Any) -> Floats:
        """Return predictions of shape (n_rows,)."""
        return self.scores(X)[:, 0]


class NetworkClassifier(ClassifierMixin, _Network):  # type: ignore[misc]
    """A network for classes, cross entropy; parameters and attributes as `NetworkRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    out_activation_ : 'logistic' for two classes, 'softmax' for more
    """

    def fit(
        self,
        X: Any,
        y: Any,
        validation: tuple[Any, Any] | None = None,
        sample_weight: Any = None,
        validation_weight: Any = None,
    ) -> NetworkClassifier:
        """Train on rows of finite numbers.

        Parameters
        ----------
        validation : features and labels of rows that tell which epoch's weights are kept
        sample_weight, validation_weight : of shape (n_rows,), how much each row counts; None counts all alike

        Raises
        ------
        ValueError
            There is one class only.
        """
        features, target = validate_data(self, X, y, dtype=np.float32)
        self.classes_ = np.unique(target)
        if len(self.classes_) < 2:
            raise ValueError("one class only")
        self.out_activation_ = "logistic" if len(self.classes_) == 2 else "softmax"
        held = None
        if validation is not None:
            held = Examples(
                np.asarray(validation[0], dtype=np.float32),
                self._targets(validation[1]),
                _relative(validation_weight),
            )
        self._train(features, self._targets(target), held, self.out_activation_, sample_weight)
        return self

    def _targets(self, labels: Any) -> Any:
        codes = np.searchsorted(self.classes_, labels)
        targets = np.eye(len(self.classes_), dtype=np.float32)[codes]
        return targets[:, 1:] if len(self.classes_) == 2 else targets

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities of shape (n_rows, n_classes)."""
        raw = self.scores(X)
        if self.out_activation_ == "softmax":
            return np.asarray(special.softmax(raw, axis=1))
        positive = special.expit(raw)
        return np.hstack([1 - positive, positive])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most likely label of each row; the first of two where p is 0.5."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])


def _relative(weight: Any) -> npt.NDArray[np.float32] | None:
    """Return weights of mean 1, of shape (n_rows, 1): a step is as long as without them."""
    if weight is None:
        return None
    given = np.asarray(weight, dtype=np.float64)
    relative: npt.NDArray[np.float32] = (given / given.mean()).astype(np.float32)[:, None]
    return relative
