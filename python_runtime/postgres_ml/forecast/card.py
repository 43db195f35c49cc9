"""The card of a forecast: how good it was on the hold-out, how to call it, what it learned from.

Input: `Forecast`, the report, the plots. Output: sections, which `track.card.pages` turns into pages.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from postgres_ml.contract.forecast import STEP_WORDS, column_name
from postgres_ml.contract.sql_names import readable_identifier as readable
from postgres_ml.forecast import scores
from postgres_ml.forecast.fitted import Forecast
from postgres_ml.process.report import Report
from postgres_ml.track.card.pages import Section
from postgres_ml.track.card.readings import number

MAX_ROWS = 10
MAX_STEPS = 24
MEANINGS = {
    "mase": "mean error in units of the steps from season to season; below 1 is better than repeating the "
    "season "
    "one step ahead",
    "wape": "sum of the errors as a share of the sum of the values",
    "mape": "mean error as a share of the value; values of 0 are left out",
    "rmse": "typical error in the target's unit; large errors count more",
    "mae": "mean error in the target's unit",
    "average_weighted_quantile_loss": "how wrong the percentiles are, as a share of the values",
}
CAPTIONS = {
    "forecast": "The end of the series, what was predicted for its hold-out without seeing it, and the "
    "forecast.",
    "median_series": "Half of the series were predicted better than this one.",
    "worst_series": "All other series were predicted better than this one.",
    "error_by_step": "Mean error over all windows of the backtest. The windows before the hold-out were "
    "used to "
    "choose, so the curve is a little too good.",
}


def title(forecast: Forecast) -> str:
    """Return the card's heading."""
    return f"{forecast.job.spec.schema}.{forecast.job.spec.name}"


def lead(forecast: Forecast) -> str:
    """Return one line under it: what is told, and how well."""
    n, horizon = len(forecast.panel.series), forecast.searched.horizon
    words = STEP_WORDS[forecast.panel.grid.frequency]
    target = forecast.job.target.name if forecast.job.target else ""
    of = "" if n == 1 else f" of {n:,} series"
    score = number(forecast.evaluated.metrics[forecast.objective])
    judged = f"{forecast.objective} {score} on the hold-out"
    return f"Forecasts {target}{of}, {horizon} steps of one {words}; {judged}."


def sections(forecast: Forecast, report: Report, images: Sequence[Path], run_id: str) -> list[Section]:
    """Return the card's parts, in order."""
    pictures = [(path, CAPTIONS[path.stem]) for path in images]
    parts = [
        Section("How good it is", reading(forecast), _scores(forecast), images=pictures),
        Section("How often percentiles hold", _coverage_texts(forecast), _coverage(forecast)),
        Section("Error by step ahead", rows=_ahead(forecast), is_folded=True),
        Section("How to call it", _call_texts(forecast), codes=_calls(forecast)),
    ]
    if len(forecast.evaluated.numbers) > 1:
        parts.append(Section("The series predicted worst", rows=_worst(forecast)))
    parts += [
        Section("What it learned from", rows=_data(forecast)),
        Section("How it was chosen", _chosen(forecast), _candidates(forecast)),
        Section("Notes and warnings", items=report.messages or ["none"]),
        Section("Where it comes from", rows=[("", ""), *_origin(forecast, report, run_id)]),
        Section("Training query", codes=[("sql", forecast.job.query.strip())], is_folded=True),
    ]
    return parts


def reading(forecast: Forecast) -> list[str]:
    """Return what the scores say, in sentences."""
    found, horizon = forecast.evaluated.metrics, forecast.searched.horizon
    texts = [
        f"Scores are of the hold-out: the last {horizon} steps of each series, predicted from what came "
        "before "
        "them. Nothing was chosen by them."
    ]
    if "mase" in found and "naive_mase" in found:
        ours, naive = found["mase"], found["naive_mase"]
        if naive > 0:
            share = ours / naive - 1
            better = f"{abs(share):.0%} {'less than' if share < 0 else 'more than'}"
            better = "equal to" if abs(share) < 0.005 else better
            texts.append(
                f"Its mean error is {better} that of the seasonal naive forecast, which repeats the "
                "last season "
                f"({number(ours)} and {number(naive)} in units of the steps from season to season)."
            )
    if "wape" in found:
        texts.append(f"All errors together are {found['wape']:.1%} of all values together.")
    return texts


def _scores(forecast: Forecast) -> list[tuple[str, ...]]:
    found, naive = forecast.evaluated.metrics, scores.metrics(forecast.evaluated.naive)
    names = [name for name in MEANINGS if name in found]
    names.sort(key=lambda name: name != forecast.objective)
    rows = [
        (
            name,
            number(found[name]),
            number(naive.get(name, np.nan)),
            f"{MEANINGS[name]} (lower is better)",
        )
        for name in names
    ]
    return [("metric", "hold-out", "seasonal naive", "what it says"), *rows]


def _coverage_texts(forecast: Forecast) -> list[str]:
    return [
        "Of the values in the hold-out, the share that were at or below each percentile. The percentiles "
        "are the "
        f"quantiles of {len(forecast.evaluated.errors):,} errors of the backtest, in units of what the "
        "models say "
        "of their own errors."
    ]


def _coverage(forecast: Forecast) -> list[tuple[str, ...]]:
    holdout = forecast.evaluated.holdout
    levels = list(holdout[0].quantiles)
    rows = [
        (column_name(str(level)), f"{level:.0%}", f"{scores.below(holdout, level):.0%}") for level in levels
    ]
    if len(levels) > 1:
        low, high = levels[0], levels[-1]
        share = scores.coverage(holdout, low, high)
        rows.append(
            (f"{column_name(str(low))} to {column_name(str(high))}", f"{high - low:.0%}", f"{share:.0%}")
        )
    return [("percentile", "should be", "was"), *rows]


def _ahead(forecast: Forecast) -> list[tuple[str, ...]]:
    rows = forecast.evaluated.ahead
    kept = (
        rows
        if len(rows) <= MAX_STEPS
        else [rows[i] for i in np.linspace(0, len(rows) - 1, MAX_STEPS).astype(int)]
    )
    lines = [(str(step), number(ours), number(naive), f"{n:,}") for step, ours, naive, n in kept]
    return [("step", "MASE", "seasonal naive", "values"), *lines]


def _call_texts(forecast: Forecast) -> list[str]:
    columns = ", ".join(f"{name} {kind}" for name, kind in forecast.table.columns)
    return [
        f"Returns table ({columns}). The argument is the number of steps, {forecast.searched.horizon} by "
        "default "
        "and at most. Rows come in no particular order."
    ]


def _calls(forecast: Forecast) -> list[tuple[str, str]]:
    spec = forecast.job.spec
    name = f"{readable(spec.schema)}.{readable(spec.function)}"
    return [
        ("sql", f"select * from {name}()"),
        ("sql", f"select * from {{{{ forecast({spec.reference}) }}}}"),
    ]


def _worst(forecast: Forecast) -> list[tuple[str, ...]]:
    rows = []
    for place, window in enumerate(forecast.evaluated.holdout):
        if window.scale > 0 and len(window.errors):
            rows.append((float(np.abs(window.errors).mean()), window.scale, place))
    rows.sort(key=lambda row: -row[0] / row[1])
    lines = []
    for error, scale, place in rows[:MAX_ROWS]:
        index = forecast.evaluated.numbers[place]
        one = forecast.panel.series[index]
        naive = float(np.abs(forecast.evaluated.naive[place].errors).mean())
        members = ", ".join(member.shown for member in forecast.searched.choice.members[index])
        lines.append(
            (
                forecast.panel.name(one),
                number(error / scale),
                number(naive / scale),
                f"{len(one.values):,}",
                members,
            )
        )
    return [("series", "MASE", "seasonal naive", "steps", "average of"), *lines]


def _data(forecast: Forecast) -> list[tuple[str, ...]]:
    panel, horizon = forecast.panel, forecast.searched.horizon
    n_rows = sum(int(one.observed.sum()) for one in panel.series)
    lengths = [len(one.values) for one in panel.series]
    first = min(int(one.times[0]) for one in panel.series)
    last = max(int(one.times[-1]) for one in panel.series)
    span = " to ".join(str(np.array(m, np.int64).view("M8[us]").astype("M8[s]")) for m in (first, last))
    target = forecast.job.target
    return [
        ("", ""),
        (
            "series",
            f"{len(panel.series):,}"
            + (f" by {', '.join(c.name for c in panel.columns)}" if panel.columns else ""),
        ),
        ("rows", f"{n_rows:,}, the last {horizon} steps of each series held out"),
        (
            "steps of a series",
            f"{min(lengths):,} to {max(lengths):,}" if min(lengths) < max(lengths) else f"{lengths[0]:,}",
        ),
        ("times", f"{span.replace('T', ' ')}, frequency {panel.grid.frequency}"),
        ("target", f"{target.name} ({target.sql_type})" if target else ""),
    ]


def _chosen(forecast: Forecast) -> list[str]:
    searched = forecast.searched
    windows = searched.plan.windows - 1
    return [
        f"Each candidate predicted up to {windows} windows of {searched.horizon} steps before the "
        "hold-out, from what "
        "came before each. A series is forecast by the average of the best, at most "
        f"{searched.choice.size}: its own "
        "windows count, and those of all series. The average is then fitted again on all rows."
    ]


def _candidates(forecast: Forecast) -> list[tuple[str, ...]]:
    shares, gains = forecast.searched.shares, forecast.searched.choice.gains
    order = sorted(gains, key=lambda candidate: gains[candidate])
    rows = [
        (candidate.shown, f"{np.exp(gains[candidate]):.2f}", f"{shares.get(candidate.shown, 0):,}")
        for candidate in order
    ]
    return [("candidate", "error beside the seasonal naive's", "series that use it"), *rows]


def _origin(forecast: Forecast, report: Report, run_id: str) -> list[tuple[str, str]]:
    tags = {name.replace("_", " "): value for name, value in sorted(forecast.job.tags.items())}
    seconds = ", ".join(f"{name} {duration:.1f}" for name, duration in report.seconds.items())
    libraries = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("statsforecast", "numpy", "mlflow")
    )
    return [
        ("MLflow run", run_id or "begun later"),
        *tags.items(),
        ("libraries", libraries),
        ("seconds", seconds),
    ]
