"""The table of bench_auto.py: scores, mean ranks with their standard errors, speeds in SQL.

Input: what the workers printed, by set, system and seed. Output: Markdown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import results
from auto_sets import Set

IN_SQL = ("auto_sql", "auto_sql_0")
SYSTEMS = (
    "auto",
    *IN_SQL,
    "flaml",
    "autogluon",
    "autogluon_best",
    "xgboost_default",
    "hist_default",
    "linear",
)
NAMES = {
    "auto": "auto",
    "auto_sql": "auto, runtime sql",
    "auto_sql_0": "auto, runtime sql, tolerance 0",
    "flaml": "FLAML",
    "autogluon": "AutoGluon medium",
    "autogluon_best": "AutoGluon best",
    "xgboost_default": "xgboost default",
    "hist_default": "HistGradientBoosting default",
    "linear": "linear",
}
RANKED = tuple(name for name in SYSTEMS if name not in IN_SQL)
DRAWS = 2_000  # of the bootstrap
Found = Mapping[tuple[str, str, int], dict[str, Any]]
"""What a worker printed, by set, system and seed."""


def table(chosen: Sequence[Set], found: Found, budget: float) -> str:
    """Return the table of all results that there are, and what it says."""
    systems = [system for system in SYSTEMS if any(key[1] == system for key in found)]
    n_seeds = len({key[2] for key in found})
    in_sql = [system for system in IN_SQL if system in systems]
    speeds = [f"{NAMES[system]}: rows/s (estimate), chosen" for system in in_sql]
    head = ["set", *(_name(system, found) for system in systems), *speeds, "auto: nodes, seconds, chosen"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for item in chosen:
        means = {system: _mean_score(found, item.name, system) for system in systems}
        ranked = [value for system, value in means.items() if system in RANKED and value is not None]
        best = min(ranked, default=None)
        cells = [_cell(means[system], best) for system in systems]
        cells += [_speed(_first(found, item.name, system)) for system in in_sql]
        star = "" if item.tuned_on else "*"
        about = _about(_first(found, item.name, "auto"))
        lines.append("| " + " | ".join([item.name + star, *cells, about]) + " |")
    lines += [line + " |" * len(in_sql) for line in summary(chosen, systems, found)]
    seeds = f"means of {n_seeds} seeds, each with other test rows; " if n_seeds > 1 else ""
    machine = f"{results.processor()}, {os.cpu_count()} cores"
    about = (
        f"log_loss of classes, rmse of numbers, on the test quarter; {seeds}{budget:g} s and 2 cores each "
        f"({machine}). * held out: the portfolio was put together without looking at it. `auto` holds "
        "out 20 % of its rows for the scores on the card, searches on the rest and refits on all. Ranks "
        "have the standard error of a bootstrap over sets and seeds, and leave `runtime sql` out, which "
        "trades accuracy for functions that plain SQL computes fast: rows/s are of one core, by processor "
        "seconds of the server (`sql_speed.py`); of several seeds, the first one's are shown."
    )
    return "\n".join([about, "", *lines])


def summary(chosen: Sequence[Set], systems: Sequence[str], found: Found) -> Iterator[str]:
    """Give the rows below the table: mean rank, loss relative to auto's, seconds."""
    ranked = [system for system in systems if system in RANKED]
    if "auto" not in ranked:
        return
    scores = whole_scores([item.name for item in chosen], ranked, found)
    if scores.empty:
        return
    held_out = [item.name for item in chosen if not item.tuned_on]
    is_held_out = scores.index.get_level_values("set").isin(held_out)
    for title, part in (("all", scores), ("held out*", scores[is_held_out])):
        if part.empty:
            continue
        mean, error = mean_ranks(part)
        n_sets = part.index.get_level_values("set").nunique()
        cells = [f"{mean[s]:.2f} ± {error[s]:.2f}" if s in mean else "" for s in systems]
        yield "| " + " | ".join([f"mean rank, {title} ({n_sets})", *cells, ""]) + " |"
        names = list(part.index.get_level_values("set").unique())
        cells = [f"{100 * (_median_ratio(names, s, found) - 1):+.1f} %" for s in systems]
        yield "| " + " | ".join([f"median loss beside auto's, {title}", *cells, ""]) + " |"
    taken = [[found.get((n, s, k), {}).get("seconds", np.nan) for n, k in scores.index] for s in systems]
    cells = ["" if np.isnan(values).all() else f"{np.nanmean(values):.0f}" for values in taken]
    yield "| " + " | ".join(["mean seconds", *cells, ""]) + " |"


def _median_ratio(names: Sequence[str], system: str, found: Found) -> float:
    """Return the median of the system's losses relative to auto's: a loss near 0 makes a ratio anything."""
    scores = whole_scores(names, ["auto", system] if system != "auto" else ["auto"], found)
    means = scores.groupby(level="set").mean()
    return float((means[system] / means["auto"]).median())


def whole_scores(names: Sequence[str], systems: Sequence[str], found: Found) -> pd.DataFrame:
    """Return scores by set and seed where all systems have one; a column for each system."""
    seeds = sorted({key[2] for key in found})
    rows = {
        (name, seed): [found[name, system, seed]["score"] for system in systems]
        for name in names
        for seed in seeds
        if all("score" in found.get((name, system, seed), {}) for system in systems)
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["set", "seed"]) if rows else None
    return pd.DataFrame(list(rows.values()), index=index, columns=list(systems), dtype=float)


def mean_ranks(scores: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return each system's mean rank over sets, and the standard error of it by a bootstrap.

    Sets are drawn with replacement, and of each drawn one its seeds. The mean of a set's seeds counts once,
    however many there are.

    Parameters
    ----------
    scores : lower is better, by set and seed; a column for each system
    """
    ranks = scores.rank(axis=1)
    by_set = [part.to_numpy() for _, part in ranks.groupby(level="set")]
    mean = np.mean([part.mean(axis=0) for part in by_set], axis=0)
    random = np.random.default_rng(0)
    drawn = np.empty((DRAWS, ranks.shape[1]))
    for number in range(DRAWS):
        parts = [by_set[i] for i in random.integers(0, len(by_set), len(by_set))]
        again = [part[random.integers(0, len(part), len(part))].mean(axis=0) for part in parts]
        drawn[number] = np.mean(again, axis=0)
    return pd.Series(mean, ranks.columns), pd.Series(drawn.std(axis=0), ranks.columns)


def _mean_score(found: Found, name: str, system: str) -> float | None:
    scores = [
        about["score"] for key, about in found.items() if key[:2] == (name, system) and "score" in about
    ]
    return float(np.mean(scores)) if scores else None


def _first(found: Found, name: str, system: str) -> dict[str, Any]:
    """Return what the first seed's worker printed; nothing where there is none."""
    seeds = [key[2] for key in found if key[:2] == (name, system)]
    return found[name, system, min(seeds)] if seeds else {}


def _name(system: str, found: Found) -> str:
    """Return 'FLAML 2.8.0'."""
    versions = {about["version"] for key, about in found.items() if key[1] == system and "version" in about}
    return " ".join([NAMES[system], "/".join(sorted(versions))]).strip()


def _cell(score: float | None, best: float | None) -> str:
    if score is None:
        return "–"
    text = f"{score:.4f}" if score < 100 else f"{score:.1f}"
    return f"**{text}**" if best is not None and score <= best else text


def _about(ours: dict[str, Any]) -> str:
    if "score" not in ours:
        return ""
    return f"{ours['n_nodes']:,}, {ours['training_seconds']:.0f} s, {ours['chosen']}"


def _speed(about: dict[str, Any]) -> str:
    """Return '270,000 (300,000), additive tables'."""
    if "sql_rows_per_s" not in about:
        return "–"
    return f"{about['sql_rows_per_s']:,} ({about['sql_estimate']:,}), {about['chosen']}"
