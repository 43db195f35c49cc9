"""The transformers that the config names in `preprocessors`, as scikit-learn's.

Input: column sets and the kinds of their columns. Output: entries of a ColumnTransformer. What may
follow what is checked before, by `transformer_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, OneHotEncoder, OrdinalEncoder, StandardScaler

from postgres_ml.components.text_statistics import TextStatistics
from postgres_ml.components.transformers import PARTS, DateTimeVectorizer
from postgres_ml.contract.config import ColumnSet
from postgres_ml.features.transformer_rules import (
    ENCODERS,
    IMPUTERS,
    JOINT,
    OF_TEXT,
    TEXT_STATISTICS,
    members,
)

MAX_CATEGORIES = 256  # of a OneHotEncoder that is asked for; the rarest share one column beyond that
PCA_VARIANCE = 0.95  # as many components as keep this share of the variance
Entry = tuple[str, Any, Sequence[str]]


def given_entries(sets: Sequence[ColumnSet], kinds: Mapping[str, str]) -> list[Entry]:
    """Return an entry of a ColumnTransformer for each set that has columns.

    Parameters
    ----------
    kinds : 'text', 'number' and so on of every column that is used; others are left out
    """
    entries: list[Entry] = []
    for number, item in enumerate(sets):
        columns = [name for name in members(item, sets, list(kinds)) if name in kinds]
        if columns:
            entries.append((f"set{number}", _steps(item.transformers, columns, kinds), columns))
    return entries


def unnamed(sets: Sequence[ColumnSet], kinds: Mapping[str, str]) -> list[str]:
    """Return the columns that are in no set."""
    named = {name for item in sets for name in members(item, sets, list(kinds))}
    return [name for name in kinds if name not in named]


def incomplete(sets: Sequence[ColumnSet], kinds: Mapping[str, str], *, needs_all: bool) -> dict[str, str]:
    """Return the columns whose missing values reach a step that takes none, and that step.

    Parameters
    ----------
    needs_all : whether the estimator takes no missing values
    """
    found = {}
    for item in sets:
        chain = item.transformers
        fills = [name in (*IMPUTERS, *OF_TEXT) for name in chain]
        until = fills.index(True) if any(fills) else len(chain)
        joint = [name for name in chain[:until] if name in JOINT]
        for name in members(item, sets, list(kinds)):
            if joint:
                found[name] = joint[0]
            elif needs_all and not any(fills):
                found[name] = ""
    return found


def _steps(chain: Sequence[str], columns: Sequence[str], kinds: Mapping[str, str]) -> Any:
    """Return the chain's transformer: up to the encoder one for each kind of column, then one for all."""
    end = next((n + 1 for n, name in enumerate(chain) if name in ENCODERS), 0)
    groups: dict[str, list[str]] = {}
    for name in columns:
        groups.setdefault(kinds[name] if kinds[name] in ("text", *PARTS) else "number", []).append(name)
    rest = [(name, _make(name, "number", encoded_next=False)) for name in chain[end:]]
    first = {kind: [(name, _make(name, kind, encoded_next=True)) for name in chain[:end]] for kind in groups}
    if len(groups) == 1:
        return _pipeline([*next(iter(first.values())), *rest])
    if end == 0:
        return _pipeline(rest)
    encode = ColumnTransformer(
        [(kind, _pipeline(steps), groups[kind]) for kind, steps in first.items()], sparse_threshold=0
    )
    return _pipeline([("encode", encode), *rest])


def _pipeline(steps: Sequence[tuple[str, Any]]) -> Any:
    made = [(name, step) for name, step in steps if step is not None]
    return Pipeline(made) if made else "passthrough"


def _make(name: str, kind: str, *, encoded_next: bool) -> Any:
    """Return the transformer; None changes nothing.

    Parameters
    ----------
    kind : of the columns: 'text', one of `transformers.PARTS`, or 'number' for all others
    encoded_next : whether the values are categories that an encoder reads: their most frequent one stands for
        a missing one, as there is no mean of categories
    """
    if name in IMPUTERS:
        return SimpleImputer(
            strategy="most_frequent" if encoded_next else "mean",
            missing_values=None if kind == "text" else float("nan"),
            add_indicator=name == "ImputerWithIndicator",
            keep_empty_features=True,
        )
    if name == "OneHotEncoder":
        return OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
        )
    if name == "OrdinalEncoder":
        return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    if name == "DateTimeVectorizer":
        return DateTimeVectorizer(PARTS[kind])
    if name == "PCA":
        return PCA(n_components=PCA_VARIANCE, svd_solver="full")
    return {
        TEXT_STATISTICS: TextStatistics,
        "NumericPassthrough": lambda: None,
        "Normalizer": Normalizer,
        "StandardScaler": StandardScaler,
        "MinMax": MinMaxScaler,
    }[name]()
