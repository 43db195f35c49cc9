"""The conditions of all trees' paths, as columns of the table that `<function>_explain` reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.explain import ExactScores
from postgres_ml.explain.tables import TableExplainer
from postgres_ml.explain.trees import Explainer, Paths
from postgres_ml.generate.sql.fold import monotone_threshold

MAX_CONDITIONS = 40_000  # 2 MB of text, a tenth of a second for each row
MAX_PATH = 40  # features; the product of more shares could leave the doubles


@dataclass
class Columns:
    """The conditions of all paths, a value of each list for each (path, feature).

    Parameters
    ----------
    leaf, slot, source : numbers of the path, of the position in the slots' array (from 1), of the input
    low, high : the row fits if low <= slot < high
    inside, outside : codes of categories that fit, or don't, between commas; '' for a number
    missing : whether NULL fits
    share : of the background rows that fit
    values : of each path, one for each score
    longest : features of the longest path
    """

    leaf: list[int]
    slot: list[int]
    source: list[int]
    low: list[float]
    high: list[float]
    inside: list[str]
    outside: list[str]
    missing: list[bool]
    share: list[float]
    values: list[list[float]]
    longest: int = 0


def columns_of(exact: ExactScores, used: list[int]) -> Columns:
    """Return the conditions of all paths.

    Raises
    ------
    UnsupportedModelError
    """
    columns = Columns(*([] for _ in range(10)))  # type: ignore[arg-type]  # ten empty lists
    place = {slot: position for position, slot in enumerate(used, start=1)}
    for number, explainer in exact.explainers.items():
        if isinstance(explainer, TableExplainer):
            continue
        n_conditions = sum(paths.features.size for paths in explainer.paths)
        longest = max((paths.features.shape[1] for paths in explainer.paths), default=0)
        if n_conditions + len(columns.leaf) > MAX_CONDITIONS or longest > MAX_PATH:
            detail = f"trees of {n_conditions:,} conditions, the longest path with {longest}"
            hint = f"at most {MAX_CONDITIONS:,} and {MAX_PATH}: use fewer or shallower trees"
            raise UnsupportedModelError("explain", detail, hint)
        columns.longest = max(columns.longest, longest)
        tests = _Tests(explainer)
        for paths in explainer.paths:
            if paths.features.shape[1] == 0:
                continue
            weights = [
                [term.trees.get((number, o), 0.0) for o in range(explainer.step.width)]
                for term in exact.terms
            ]
            first = len(columns.values)
            columns.values += (paths.values @ np.array(weights).T / explainer.step.divisor).tolist()
            for leaf, feature, share, low, high, inside, outside, missing in tests.of(paths):
                slot = explainer.step.slots[feature]
                columns.leaf.append(first + leaf + 1)
                columns.slot.append(place[slot])
                columns.source.append(next(iter(exact.sums.sources[slot])) + 1)
                columns.share.append(share)
                columns.low.append(low)
                columns.high.append(high)
                columns.inside.append(inside)
                columns.outside.append(outside)
                columns.missing.append(missing)
    return columns


class _Tests:
    """The splits of an ensemble as comparisons of doubles."""

    def __init__(self, explainer: Explainer) -> None:
        step = explainer.step
        self.goes_left = step.category_goes_left
        thresholds = np.array([value for tree in step.trees for value in tree.threshold])
        numeric = np.flatnonzero(np.isfinite(thresholds) | np.isinf(thresholds))
        self.keys = np.zeros(len(thresholds), dtype=np.int64)
        self.keys[numeric], _ = monotone_threshold.crossings(
            (), thresholds[numeric], step.operator, step.split_dtype
        )
        self.default_left = [value for tree in step.trees for value in tree.default_left]
        self.categories = [
            codes for tree in step.trees for codes in tree.categories or (None,) * tree.n_nodes
        ]

    def of(self, paths: Paths) -> Iterator[tuple[int, int, float, float, float, str, str, bool]]:
        """Yield (leaf, feature, share, low, high, inside, outside, missing) of each condition."""
        for position, (leaves, nodes, lefts) in enumerate(paths.conditions):
            asked: dict[int, list[tuple[int, bool]]] = defaultdict(list)
            for leaf, node, left in zip(leaves.tolist(), nodes.tolist(), lefts.tolist(), strict=True):
                asked[leaf].append((node, left))
            for leaf, pairs in asked.items():
                feature, share = int(paths.features[leaf, position]), float(paths.shares[leaf, position])
                yield leaf, feature, share, *self._merged(pairs)

    def _merged(self, pairs: list[tuple[int, bool]]) -> tuple[float, float, str, str, bool]:
        low, high = -monotone_threshold.TOP, monotone_threshold.TOP + 1
        inside: set[int] | None = None
        outside: set[int] = set()
        missing = True
        for node, left in pairs:
            missing = missing and self.default_left[node] == left
            codes = self.categories[node]
            if codes is None:
                key = int(self.keys[node])
                low, high = (low, min(high, key)) if left else (max(low, key), high)
            elif left == self.goes_left:
                inside = set(codes) if inside is None else inside & set(codes)
            else:
                outside |= set(codes)
        if inside is not None:
            inside -= outside
            outside = set()
            listed = ",".join(map(str, sorted(inside)))
            return -np.inf, np.nan, f",{listed},", "", missing
        listed = f",{','.join(map(str, sorted(outside)))}," if outside else ""
        return _value(low), _value(high), "", listed, missing


def _value(key: int) -> float:
    """Return the double of the key; NaN above all of them, which is Postgres's greatest number."""
    return monotone_threshold.value_of(key) if key <= monotone_threshold.TOP else np.nan
