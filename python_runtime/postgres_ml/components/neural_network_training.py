"""How a small network is trained: Adam, in single precision, with what helps on tables.

From RealMLP (Holzmüller, Grinsztajn, Steinwart 2024, "Better by default"): a learnt factor before each input,
which is folded into the first layer at the end; a learning rate for each layer; a schedule of four falling
waves; a last layer that begins at zero; weights of the epoch that is best on rows not trained on.
Single precision halves the time; weights are doubles afterwards, and so is every prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

DECAY_OF_MEAN, DECAY_OF_SQUARE = 0.9, 0.95
FRONT_RATE = 6.0  # the factors before the inputs learn six times as fast as weights of one input
INTERCEPT_RATE = 0.1
N_WAVES = 4
# For a network of 128 x 128, validation rows beyond these tell the best epoch no better.
VALIDATION_ROWS = 4_000


def _gate(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


def _silu(z: Array) -> tuple[Array, Array]:
    gate = _gate(z)
    return z * gate, gate * (1 + z * (1 - gate))


def _tanh(z: Array) -> tuple[Array, Array]:
    value = np.tanh(z)
    return value, 1 - value * value


ACTIVATIONS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "silu": _silu,
    "relu": lambda z: (np.maximum(z, 0), (z > 0).astype(z.dtype)),
    "tanh": _tanh,
}
"""By name: the activation and its slope."""


@dataclass(frozen=True)
class Examples:
    """Rows to learn or to validate with.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_inputs)
    targets : ndarray of shape (n_rows, n_outputs); for the softmax and logistic links 0 or 1
    weight : ndarray of shape (n_rows, 1), how much each row counts, 1 on average; None counts all alike
    """

    features: Array
    targets: Array
    weight: Array | None = None

    def take(self, rows: Any) -> Examples:
        """Return these rows."""
        weight = None if self.weight is None else self.weight[rows]
        return Examples(self.features[rows], self.targets[rows], weight)


@dataclass
class Layers:
    """Weights of shape (n_inputs, n_outputs) and intercepts of each layer, with one activation between."""

    weights: list[Array]
    intercepts: list[Array]
    activation: str

    def outputs(self, features: Array) -> Array:
        """Return the last layer's sums, of shape (n_rows, n_outputs)."""
        values = features
        with np.errstate(over="ignore"):
            for number, (weights, intercepts) in enumerate(zip(self.weights, self.intercepts, strict=True)):
                values = values @ weights + intercepts
                if number < len(self.weights) - 1:
                    values = ACTIVATIONS[self.activation](values)[0]
        return values


def linked(raw: Array, link: str) -> Array:
    """Return the outputs after the last layer's function: 'identity', 'logistic' or 'softmax'."""
    if link == "identity":
        return raw
    if link == "logistic":
        return _gate(raw)
    odds = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def loss(raw: Array, examples: Examples, link: str) -> float:
    """Return the mean squared error or the mean cross entropy.

    Parameters
    ----------
    raw : the last layer's sums for these rows
    """
    targets = examples.targets
    if link == "identity":
        losses = np.square(raw - targets, dtype=np.float64)
    elif link == "logistic":
        losses = np.logaddexp(0, raw) - targets * raw
    else:
        shifted = raw - raw.max(axis=1, keepdims=True)
        losses = np.log(np.exp(shifted).sum(axis=1)) - (shifted * targets).sum(axis=1)
    if examples.weight is None:
        return float(np.mean(losses, dtype=np.float64))
    return float(np.average(losses.ravel().astype(np.float64), weights=examples.weight.ravel()))


def train(
    parameters: Mapping[str, Any], examples: Examples, validation: Examples | None, link: str
) -> tuple[Layers, int, int]:
    """Return trained layers, how many epochs they saw, and how many there were.

    Parameters
    ----------
    parameters : of `NetworkRegressor`
    validation : rows that tell which epoch's layers are returned; without them it is the last
    link : 'identity', 'logistic' or 'softmax'
    """
    source = np.random.default_rng(parameters["random_state"])
    network = Network(parameters, examples, link, source)
    batch = min(parameters["batch_size"], len(examples.features))
    n_batches = max(1, len(examples.features) // batch)
    n_epochs, patience = parameters["n_epochs"], parameters["patience"] * parameters["n_epochs"]
    best, best_loss, best_epoch = network.layers(), np.inf, 0
    for epoch in range(parameters["stop_epoch"] or n_epochs):
        order = source.permutation(len(examples.features))
        for number in range(n_batches):
            rows = order[number * batch : (number + 1) * batch]
            done = (epoch + number / n_batches) / n_epochs
            with np.errstate(over="ignore"):
                network.step(examples.take(rows), done)
        late = parameters["is_late"] is not None and parameters["is_late"]()
        if validation is not None:
            held = validation.take(slice(0, VALIDATION_ROWS))
            found = loss(network.layers().outputs(held.features), held, link)
            if found < best_loss:
                best, best_loss, best_epoch = network.layers(), found, epoch + 1
        else:
            best_epoch = epoch + 1
        if late or epoch + 1 - best_epoch > patience:
            break
    return (best if validation is not None else network.layers()), best_epoch, epoch + 1


class Network:
    """Parameters being trained: factors of the inputs, then weights and intercepts of each layer."""

    def __init__(
        self, parameters: Mapping[str, Any], examples: Examples, link: str, source: np.random.Generator
    ) -> None:
        self.link, self.source = link, source
        self.activation, self.dropout = parameters["activation"], parameters["dropout"]
        self.weight_decay = parameters["weight_decay"]
        sizes = [
            examples.features.shape[1], *parameters["hidden_layer_sizes"], examples.targets.shape[1]
        ]  # fmt: skip
        rate = parameters["learning_rate"]
        self.values: list[Array] = [np.ones(sizes[0], np.float32)]
        self.rates = [FRONT_RATE * rate]
        for n_inputs, n_outputs in pairwise(sizes):
            weights = source.standard_normal((n_inputs, n_outputs), np.float32) / np.float32(
                np.sqrt(n_inputs)
            )
            self.values += [weights, source.standard_normal(n_outputs, np.float32)]
            self.rates += [rate / np.sqrt(n_inputs), INTERCEPT_RATE * rate]
        # a last layer of zeros starts from the same prediction for every row: the mean
        self.values[-2][:] = 0
        self.values[-1][:] = _first_intercepts(examples, link)
        self._means = [np.zeros_like(value) for value in self.values]
        self._squares = [np.zeros_like(value) for value in self.values]
        self._n_steps = 0

    def layers(self) -> Layers:
        """Return a copy of the layers, the inputs' factors folded into the first."""
        weights = [values.copy() for values in self.values[1::2]]
        weights[0] *= self.values[0][:, None]
        return Layers(weights, [values.copy() for values in self.values[2::2]], self.activation)

    def step(self, examples: Examples, done: float) -> None:
        """Take one step of Adam (Kingma and Ba 2015).

        Parameters
        ----------
        done : share of the training that is over, 0 to 1
        """
        fading = 1.0 if done < 0.5 else 0.5 * (1 + np.cos(np.pi * (2 * done - 1)))
        gradients = self.gradients(examples, self.dropout * fading)
        self._n_steps += 1
        wave = 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**N_WAVES - 1) * done)))
        unbias = 1 - DECAY_OF_MEAN**self._n_steps
        unbias_square = np.float32(1 / (1 - DECAY_OF_SQUARE**self._n_steps))
        for number, (value, gradient) in enumerate(zip(self.values, gradients, strict=True)):
            mean, square = self._means[number], self._squares[number]
            mean += np.float32(1 - DECAY_OF_MEAN) * (gradient - mean)
            square += np.float32(1 - DECAY_OF_SQUARE) * (gradient * gradient - square)
            rate = self.rates[number] * wave
            if number % 2:  # weights
                value *= np.float32(1 - min(0.5, rate * self.weight_decay * fading))
            value -= np.float32(rate / unbias) * mean / (np.sqrt(square * unbias_square) + np.float32(1e-8))

    def gradients(self, examples: Examples, dropout: float = 0.0) -> list[Array]:
        """Return the mean loss's gradient for each of `values`."""
        features = examples.features
        weights, intercepts = self.values[1::2], self.values[2::2]
        inputs, slopes = [features * self.values[0]], []
        for number in range(len(weights)):
            raw = inputs[-1] @ weights[number] + intercepts[number]
            if number == len(weights) - 1:
                break
            active, slope = ACTIVATIONS[self.activation](raw)
            if dropout:
                kept = self.source.random(raw.shape, np.float32) >= dropout
                mask = kept * np.float32(1 / (1 - dropout))
                active, slope = active * mask, slope * mask
            inputs.append(active)
            slopes.append(slope)
        # logistic and softmax losses have this gradient, squared errors twice it
        factor = np.float32((2 if self.link == "identity" else 1) / len(features))
        error = (linked(raw, self.link) - examples.targets) * factor
        if examples.weight is not None:
            error = error * examples.weight
        found: list[Array] = []
        for number in range(len(weights) - 1, -1, -1):
            found[:0] = [inputs[number].T @ error, error.sum(axis=0)]
            error = error @ weights[number].T
            if number:
                error = error * slopes[number - 1]
        return [(error * features).sum(axis=0), *found]


def _first_intercepts(examples: Examples, link: str) -> Array:
    share = examples.targets.mean(axis=0)
    if examples.weight is not None:
        share = (examples.targets * examples.weight).mean(axis=0)
    if link == "identity":
        return np.asarray(share)
    if link == "softmax":
        return np.asarray(np.log(share + 1e-3))
    return np.asarray(np.log((share + 1e-3) / (1 - share + 1e-3)))
