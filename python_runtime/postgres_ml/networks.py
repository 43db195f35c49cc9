"""Small neural networks in NumPy, for tables: dense layers with silu between them, trained with Adam.

scikit-learn's MLP has no silu, and silu is what the strongest small tabular networks use. These are plain
scikit-learn estimators; fitted weights have scikit-learn's names, so the same parser reads both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

Floats = npt.NDArray[np.float64]

DECAY_OF_MEAN, DECAY_OF_SQUARE = 0.9, 0.95


def _silu(z: Floats) -> Floats:
    return np.asarray(z * special.expit(z))


def _silu_slope(z: Floats) -> Floats:
    gate = special.expit(z)
    return np.asarray(gate * (1 + z * (1 - gate)))


ACTIVATIONS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "silu": (_silu, _silu_slope),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(np.float64)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}


class _Network(BaseEstimator):  # type: ignore[misc]
    """Layers and training, common to both networks. Subclasses say what the outputs mean."""

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (64,),
        activation: str = "silu",
        learning_rate: float = 0.01,
        n_epochs: int = 100,
        batch_size: int = 128,
        weight_decay: float = 0.0,
        random_state: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.random_state = random_state

    def _train(self, X: Floats, targets: Floats) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}; use one of {', '.join(ACTIVATIONS)}")
        source = np.random.default_rng(self.random_state)
        sizes = [X.shape[1], *self.hidden_layer_sizes, targets.shape[1]]
        self.coefs_ = [source.normal(0, np.sqrt(1 / n), (n, m)) for n, m in pairwise(sizes)]
        # a last layer of zeros starts from the same prediction for every row
        self.coefs_[-1][:] = 0
        self.intercepts_ = [np.zeros(m) for m in sizes[1:]]
        adam = _Adam([*self.coefs_, *self.intercepts_])
        for epoch in range(self.n_epochs):
            # half a cosine: full steps at first, none at the end
            rate = self.learning_rate * (1 + np.cos(np.pi * epoch / self.n_epochs)) / 2
            order = source.permutation(len(X))
            for start in range(0, len(X), self.batch_size):
                rows = order[start : start + self.batch_size]
                adam.step(self._gradients(X[rows], targets[rows]), rate)

    def _gradients(self, X: Floats, targets: Floats) -> list[Floats]:
        """Return the loss's gradient for every weight matrix, then for every vector of intercepts."""
        activation, slope = ACTIVATIONS[self.activation]
        inputs, sums = [X], []
        for weights, intercepts in zip(self.coefs_, self.intercepts_, strict=True):
            sums.append(inputs[-1] @ weights + intercepts)
            inputs.append(activation(sums[-1]))
        # squared error, logistic and softmax losses all have this gradient
        error = (self._linked(sums[-1]) - targets) / len(X)
        by_weight: list[Floats] = []
        by_intercept: list[Floats] = []
        for layer in range(len(sums) - 1, -1, -1):
            by_weight.insert(0, inputs[layer].T @ error + self.weight_decay * self.coefs_[layer])
            by_intercept.insert(0, error.sum(axis=0))
            if layer:
                error = error @ self.coefs_[layer].T * slope(sums[layer - 1])
        return by_weight + by_intercept

    def _linked(self, raw: Floats) -> Floats:
        """Return the outputs after the last layer's function."""
        raise NotImplementedError

    def _raw(self, X: Any) -> Floats:
        """Return the last layer's sums, of shape (n_rows, n_outputs)."""
        check_is_fitted(self)
        values: Floats = validate_data(self, X, dtype=np.float64, reset=False)
        activation, _ = ACTIVATIONS[self.activation]
        for number, (weights, intercepts) in enumerate(zip(self.coefs_, self.intercepts_, strict=True)):
            values = values @ weights + intercepts
            if number < len(self.coefs_) - 1:
                values = activation(values)
        return values


class NetworkRegressor(RegressorMixin, _Network):  # type: ignore[misc]
    """A network for numbers, least squares. Standardise features and target first.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
    activation : {'silu', 'relu', 'tanh'}
    learning_rate : float
        Of Adam, falling to 0 along half a cosine.
    n_epochs, batch_size : int
    weight_decay : float
        L2 penalty of the weights.
    random_state : int or None

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights of shape (n_inputs, n_outputs) and intercepts of each layer.
    out_activation_ : 'identity'
    """

    def fit(self, X: Any, y: Any) -> NetworkRegressor:
        """Train on rows of finite numbers."""
        features, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.out_activation_ = "identity"
        self._train(features, np.asarray(target, dtype=np.float64)[:, None])
        return self

    def predict(self, X: Any) -> Floats:
        """Return predictions of shape (n_rows,)."""
        return self._raw(X)[:, 0]

    def _linked(self, raw: Floats) -> Floats:
        return raw


class NetworkClassifier(ClassifierMixin, _Network):  # type: ignore[misc]
    """A network for classes, cross entropy; parameters as `NetworkRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    out_activation_ : 'logistic' for two classes, 'softmax' for more
    """

    def fit(self, X: Any, y: Any) -> NetworkClassifier:
        """Train on rows of finite numbers.

        Raises
        ------
        ValueError
            There is one class only.
        """
        features, target = validate_data(self, X, y, dtype=np.float64)
        self.classes_, codes = np.unique(target, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("one class only")
        self.out_activation_ = "logistic" if len(self.classes_) == 2 else "softmax"
        targets = np.eye(len(self.classes_))[codes]
        self._train(features, targets[:, 1:] if len(self.classes_) == 2 else targets)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities of shape (n_rows, n_classes)."""
        probabilities = self._linked(self._raw(X))
        return np.hstack([1 - probabilities, probabilities]) if len(self.classes_) == 2 else probabilities

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most likely label of each row; the first of two where p is 0.5."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])

    def _linked(self, raw: Floats) -> Floats:
        return np.asarray(special.expit(raw) if raw.shape[1] == 1 else special.softmax(raw, axis=1))


class _Adam:
    """Adam (Kingma and Ba 2015), changing the parameters in place."""

    def __init__(self, parameters: Sequence[Floats]) -> None:
        self._parameters = parameters
        self._means = [np.zeros_like(p) for p in parameters]
        self._squares = [np.zeros_like(p) for p in parameters]
        self._n_steps = 0

    def step(self, gradients: Sequence[Floats], rate: float) -> None:
        """Take one step against the gradients."""
        self._n_steps += 1
        unbias = 1 - DECAY_OF_MEAN**self._n_steps
        unbias_square = 1 - DECAY_OF_SQUARE**self._n_steps
        for parameter, gradient, mean, square in zip(
            self._parameters, gradients, self._means, self._squares, strict=True
        ):
            mean += (1 - DECAY_OF_MEAN) * (gradient - mean)
            square += (1 - DECAY_OF_SQUARE) * (gradient**2 - square)
            parameter -= rate * (mean / unbias) / (np.sqrt(square / unbias_square) + 1e-8)
