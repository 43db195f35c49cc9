"""How an additive model's tables are learned: boosted trees of one column, then of pairs, folded exactly.

xgboost sees the numbers of the bins, which single precision holds exactly, so a tree of one column is a step
function of its bins and a tree of two columns a table: nothing is lost when leaves are added up in double
precision. Each bag stops early by a fold of rows that it did not learn from; the mean of tables is a table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from postgres_ml.components.additive import Axis, Floats, Term
from postgres_ml.components.additive_bins import coarser, make_axes
from postgres_ml.components.additive_pairs import rank_pairs
from postgres_ml.components.additive_tables import Tables, settle

PATIENCE = 4.0  # divided by the learning rate: rounds without a gain after which boosting ends
LEAST_PATIENCE = 20
PAIR_DEPTH = 3
# Shares of the columns that a tree may choose from, so that columns which tell the same share what they tell:
# with these, rmse on diamonds was 5 % and on ames_housing 3 % less than with all of them.
COLUMN_SHARE, PAIR_COLUMN_SHARE, FEW_COLUMNS = 0.3, 0.4, 4
FOLDS = 5  # of which one is held out where there are fewer bags
Bins = npt.NDArray[np.int64]
Box = dict[int, npt.NDArray[np.bool_]]


class _Late(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Ends boosting when time is over."""

    def __init__(self, is_late: Any) -> None:
        self.is_late = is_late

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether to stop."""
        return bool(self.is_late())


@dataclass(frozen=True)
class Rows:
    """The rows to learn from.

    Parameters
    ----------
    target : true values, of mean 0 and deviation 1, or class codes
    n_classes : 0 for a regression
    weight : positive
    """

    target: Floats
    n_classes: int
    weight: Floats

    @property
    def n_outputs(self) -> int:
        """Scores of a row."""
        return self.n_classes if self.n_classes > 2 else 1

    @property
    def objective(self) -> dict[str, Any]:
        """Xgboost's parameters."""
        if not self.n_classes:
            return {"objective": "reg:squarederror"}
        if self.n_classes == 2:
            return {"objective": "binary:logistic"}
        return {"objective": "multi:softprob", "num_class": self.n_classes}

    def prior(self, chosen: Any) -> Floats:
        """Return the best constant scores for the chosen rows, of shape (n_outputs,)."""
        target, weight = self.target[chosen], self.weight[chosen]
        if not self.n_classes:
            return np.array([np.average(target, weights=weight)])
        shares = np.bincount(target.astype(np.int64), weight, self.n_classes) + 0.5 * weight.mean()
        logs: Floats = np.log(shares / shares.sum())
        return logs if self.n_classes > 2 else logs[1:] - logs[:1]


def fit_tables(
    model: Any, X: Floats, y: Floats, n_classes: int, weight: Floats
) -> tuple[Floats, list[Axis], list[Term]]:
    """Return intercepts, axes and terms.

    Parameters
    ----------
    model : with the parameters of `additive._Additive`
    X : of shape (n_rows, n_features); NaN is missing
    y : targets, or class codes
    n_classes : 0 for a regression
    weight : of shape (n_rows,), positive

    Raises
    ------
    ValueError
        There are fewer rows than folds.
    """
    shift, scale = 0.0, 1.0
    if not n_classes:
        shift = float(np.average(y, weights=weight))
        scale = float(np.sqrt(np.average(np.square(y - shift), weights=weight))) or 1.0
    rows = Rows(y if n_classes else (y - shift) / scale, n_classes, weight / weight.mean())
    folds = _folds(rows, max(model.outer_bags, FOLDS), model.random_state)
    axes = make_axes(X, model.max_bins, model.categorical)
    bins = np.column_stack([axis.bins(X) for axis in axes])
    priors, mains = _boost_columns(model, rows, folds, axes, bins)
    tables = Tables(axes, [np.mean(parts, axis=0) for parts in zip(*mains, strict=True)])
    pairs: list[tuple[int, int]] = []
    if model.interactions and len(axes) > 1:
        scores = np.mean(priors, axis=0) + tables.scores(bins)
        strengths = [float(main[:, column].std()) for main, column in zip(tables.mains, bins.T, strict=True)]
        pairs = rank_pairs(rows, bins, axes, model.categorical, scores, strengths)[: model.interactions]
    if pairs:
        narrow = [coarser(axis, column, model.max_interaction_bins, model.categorical)
                  for axis, column in zip(axes, bins.T, strict=True)]  # fmt: skip
        margins = [prior + Tables(axes, main).scores(bins) for prior, main in zip(priors, mains, strict=True)]
        narrow_bins = np.column_stack([axis.bins(X) for axis in narrow])
        tables.narrow = narrow
        tables.pairs = _boost_pairs(model, rows, folds, narrow, narrow_bins, pairs, margins)
    drops = model.monotone_constraints is None
    return settle(tables, np.mean(priors, axis=0), X, rows.weight, (shift, scale), drops=drops)


def _folds(rows: Rows, n_folds: int, seed: int) -> Bins:
    """Return each row's fold; every class is spread over all of them."""
    if len(rows.target) < 2 * n_folds:
        raise ValueError(f"{len(rows.target)} rows are too few for {n_folds} folds")
    order = np.random.RandomState(seed).permutation(len(rows.target))
    if rows.n_classes:
        order = order[np.argsort(rows.target[order], kind="stable")]
    folds = np.empty(len(order), np.int64)
    folds[order] = np.arange(len(order)) % n_folds
    return folds


def _boost_columns(
    model: Any, rows: Rows, folds: Bins, axes: Sequence[Axis], bins: Bins
) -> tuple[list[Floats], list[list[Floats]]]:
    """Return of each bag the constant scores, and a table of shape (n_outputs, n_bins) of each column."""
    parameters = {
        "max_depth": 0, "max_leaves": model.max_leaves, "grow_policy": "lossguide",
        "colsample_bytree": COLUMN_SHARE,
    }  # fmt: skip
    groups = [[position] for position in range(len(axes))]
    priors, mains = [], []
    for bag in range(model.outer_bags):
        prior = rows.prior(folds != bag)
        margin = np.tile(prior, (len(bins), 1))
        seeded = {**parameters, "seed": model.random_state + bag}
        trees = _boost(model, rows, folds != bag, axes, bins, margin, groups, seeded)
        main = [np.zeros((rows.n_outputs, axis.n_bins)) for axis in axes]
        for output, box, value in leaves(trees, [axis.n_bins for axis in axes]):
            if not box:
                prior[output] += value
            for position, inside in box.items():
                main[position][output, inside] += value
        priors.append(prior)
        mains.append(main)
    return priors, mains


def _boost_pairs(
    model: Any,
    rows: Rows,
    folds: Bins,
    axes: Sequence[Axis],
    bins: Bins,
    pairs: Sequence[tuple[int, int]],
    margins: Sequence[Floats],
) -> dict[tuple[int, int], Floats]:
    """Return the mean table of each pair, of shape (n_outputs, n_bins, n_bins)."""
    used = sorted({position for pair in pairs for position in pair})
    groups = [[used.index(position) for position in pair] for pair in pairs]
    chosen = [axes[position] for position in used]
    n_bins = [axis.n_bins for axis in chosen]
    tables = {pair: np.zeros((rows.n_outputs, axes[pair[0]].n_bins, axes[pair[1]].n_bins)) for pair in pairs}
    # of a few columns most, or no pair would be among those that a tree may choose from
    share = min(max(PAIR_COLUMN_SHARE, FEW_COLUMNS / len(used)), 1.0)
    for bag, margin in enumerate(margins):
        seed = model.random_state + bag
        parameters = {"max_depth": PAIR_DEPTH, "colsample_bytree": share, "seed": seed}
        trees = _boost(model, rows, folds != bag, chosen, bins[:, used], margin, groups, parameters)
        for output, box, value in leaves(trees, n_bins):
            found = {used[position]: inside for position, inside in box.items()}
            first, second = next(pair for pair in pairs if found.keys() <= set(pair))
            inside = np.ones(tables[first, second].shape[1:], bool)
            if first in found:
                inside &= found[first][:, None]
            if second in found:
                inside &= found[second]
            tables[first, second][output, inside] += value / len(margins)
    return tables


def _boost(
    model: Any,
    rows: Rows,
    learns: npt.NDArray[np.bool_],
    axes: Sequence[Axis],
    bins: Bins,
    margin: Floats,
    groups: Sequence[Sequence[int]],
    parameters: dict[str, Any],
) -> Any:
    """Return the trees up to the best round, as xgboost's JSON has them.

    Parameters
    ----------
    learns : the rows to learn from; the others say when to stop
    margin : of shape (n_rows, n_outputs), the scores to begin with
    groups : columns that may stand in one tree
    """
    categorical = set(model.categorical)
    types = ["c" if axis.feature in categorical else "q" for axis in axes]
    values = bins.astype(np.float32)
    values[bins == np.array([axis.n_bins - 1 for axis in axes])] = np.nan

    def matrix(chosen: npt.NDArray[np.bool_]) -> Any:
        return xgboost.DMatrix(
            values[chosen], rows.target[chosen], weight=rows.weight[chosen], feature_types=types,
            enable_categorical=True, base_margin=margin[chosen].astype(np.float32), nthread=model.n_jobs,
        )  # fmt: skip

    most = max(axis.n_bins for axis in axes)
    settings = {
        "tree_method": "hist", "max_bin": most, "max_cat_to_onehot": most + 1, "base_score": 0.5,
        "learning_rate": model.learning_rate, "min_child_weight": model.min_child_weight,
        "reg_lambda": model.reg_lambda, "nthread": model.n_jobs, "verbosity": 0,
        "interaction_constraints": json.dumps([list(group) for group in groups]), **rows.objective,
        **parameters,
    }  # fmt: skip
    if model.monotone_constraints is not None:
        settings["monotone_constraints"] = tuple(model.monotone_constraints[a.feature] for a in axes)
    booster = xgboost.train(
        settings, matrix(learns), model.max_rounds, evals=[(matrix(~learns), "held_out")],
        early_stopping_rounds=max(LEAST_PATIENCE, round(PATIENCE / model.learning_rate)), verbose_eval=False,
        callbacks=None if model.is_late is None else [_Late(model.is_late)],
    )  # fmt: skip
    best = booster[: int(booster.attr("best_iteration") or 0) + 1]
    return json.loads(bytes(best.save_raw("json")))["learner"]["gradient_booster"]["model"]


def leaves(trees: Any, n_bins: Sequence[int]) -> Iterator[tuple[int, Box, float]]:
    """Yield of each leaf the output that it adds to, the bins of each column that reach it, and its value.

    Parameters
    ----------
    trees : xgboost's JSON of a booster of bins
    n_bins : of each column, that of missing values, the last one, included
    """
    for tree, output in zip(trees["trees"], trees["tree_info"], strict=True):
        codes = {
            node: tree["categories"][start : start + size]
            for node, start, size in zip(
                tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
            )
        }
        stack: list[tuple[int, Box]] = [(0, {})]
        while stack:
            node, box = stack.pop()
            if tree["left_children"][node] < 0:
                yield output, box, float(tree["split_conditions"][node])
                continue
            column = tree["split_indices"][node]
            numbers = np.arange(n_bins[column])
            if node in codes:
                goes_left = ~np.isin(numbers, codes[node])
            else:
                goes_left = numbers < tree["split_conditions"][node]
            goes_left[-1] = bool(tree["default_left"][node])
            for child, side in (("left_children", goes_left), ("right_children", ~goes_left)):
                inside = box[column] & side if column in box else side
                stack.append((tree[child][node], {**box, column: inside}))
