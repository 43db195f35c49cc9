"""Measures forecasts: MASE beside AutoETS alone and the seasonal naive forecast, and the time of many series.

    python benchmarks/bench_forecast.py --data FOLDER    # with air_passengers.csv.gz and its like
    python benchmarks/bench_forecast.py --series 1000    # only the time of so many series

Sets that the folder lacks are left out; two come with the examples. Each row is the mean over `ORIGINS` ends
of the data: every time the last horizon is the hold-out, which no model sees.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Settings, TrainingSpec
from postgres_ml.contract.job import TrainingJob
from postgres_ml.forecast import evaluation, scores, search
from postgres_ml.forecast.backtest import cut
from postgres_ml.forecast.models import MAX_POINTS, Candidate, predict
from postgres_ml.forecast.panel import Panel, read_panel
from postgres_ml.process.report import Report
from postgres_ml.snapshot.rows import TrainingRows

SEEDS = Path(__file__).parents[1] / "models_examples" / "seeds"
ORIGINS = 4
PERCENTILES = ("mean", "0.1", "0.5", "0.9")


def main() -> None:
    """Print both tables, or the one that is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=SEEDS)
    parser.add_argument("--only", default="")
    parser.add_argument("--series", type=int, default=0)
    arguments = parser.parse_args()
    if not arguments.series:
        print("| set | series | horizon | MASE | AutoETS alone | seasonal naive | 80 % holds | s |")
        print("|---|---|---|---|---|---|---|---|")
        rows = []
        for name, frame, horizon in data_sets(arguments.data):
            if arguments.only in name:
                rows.append(compare(name, frame, horizon))
                print(rows[-1][0], flush=True)
        ours, ets, naive = np.mean([row[1] for row in rows], axis=0)
        print(f"| mean | | | {ours:.3f} | {ets:.3f} | {naive:.3f} | | |")
    if not arguments.only:
        n = arguments.series or 1000
        print(f"\n{n:,} series of 120 points: {many(n):.1f} s on 2 processes")


def data_sets(folder: Path) -> Iterator[tuple[str, pd.DataFrame, int]]:
    """Yield name, frame of series, time and value, and horizon."""

    def read(name: str) -> pd.DataFrame | None:
        path = folder / f"{name}.csv.gz"
        return pd.read_csv(path) if path.exists() else None

    if (frame := read("air_passengers")) is not None:
        yield "air_passengers", _frame(frame["month"], frame["passengers"]), 12
    if (frame := read("elec_demand_half_hourly")) is not None:
        yield "elec_demand_half_hourly", _frame(frame["ts"], frame["demand"]), 48
    if (frame := read("co2_weekly")) is not None:
        times = pd.to_datetime(frame["date"].astype(str), format="%Y%m%d")
        yield "co2_weekly", _frame(times, frame["co2"]), 26
    if (frame := read("smart_meters")) is not None:
        days = pd.to_datetime(frame["time"]).dt.floor("D")
        daily = frame.groupby([frame["id"], days])["val"].mean().reset_index()
        yield "smart_meters, by day", _frame(daily["time"], daily["val"], daily["id"]), 14
    rides = pd.read_csv(SEEDS / "taxi_rides.csv")
    hours = pd.to_datetime(rides["ride_at"]).dt.floor("h")
    hourly = rides.groupby(hours)["rides"].sum()
    yield "taxi_rides, by hour", _frame(hourly.index, hourly.to_numpy()), 24
    air = pd.read_csv(SEEDS / "mauna_loa.csv").dropna()
    months = pd.to_datetime(air["week"]).dt.to_period("M").dt.start_time
    monthly = air.groupby(months)["co2"].mean()
    yield "mauna_loa, by month", _frame(monthly.index, monthly.to_numpy()), 12


def _frame(times: object, values: object, series: object = None) -> pd.DataFrame:
    frame = pd.DataFrame({"time": pd.to_datetime(np.asarray(times)), "value": np.asarray(values, float)})
    frame["series"] = "all" if series is None else np.asarray(series).astype(str)
    return frame.dropna()


def compare(name: str, frame: pd.DataFrame, horizon: int) -> tuple[str, tuple[float, float, float]]:
    """Return the table's row, and its three scores."""
    found, ets, covered, seconds = [], [], [], 0.0
    panel = panel_of(frame)
    for origin in range(ORIGINS):
        shorter = before(panel, origin * horizon, horizon)
        started = time.perf_counter()
        searched = search.search(shorter, job_of(horizon), "mase", Report(lambda *_: None))
        evaluated = evaluation.evaluate(shorter, searched, PERCENTILES, "mase")
        seconds += time.perf_counter() - started
        found.append((evaluated.metrics["mase"], evaluated.metrics["naive_mase"]))
        covered.append(evaluated.metrics["coverage"])
        ets.append(ets_alone(shorter, searched))
    (ours, naive), alone = np.mean(found, axis=0), float(np.mean(ets))
    text = (
        f"| {name} | {len(panel.series):,} | {horizon} | {ours:.3f} | {alone:.3f} | {naive:.3f} | "
        f"{np.mean(covered):.0%} | {seconds / ORIGINS:.1f} |"
    )
    return text, (float(ours), alone, float(naive))


def before(panel: Panel, points: int, horizon: int) -> Panel:
    """Return the series without their last points; those that keep enough."""
    series = [
        dataclasses.replace(s, values=s.values[: n], observed=s.observed[: n], times=s.times[: n])
        for s in panel.series
        if (n := len(s.values) - points) >= 2 * horizon + 6
    ]  # fmt: skip
    return dataclasses.replace(panel, series=tuple(series))


def ets_alone(panel: Panel, searched: search.Searched) -> float:
    """Return the MASE of the library's AutoETS on the hold-out; its season is at most 24 steps."""
    windows = []
    for number, one in enumerate(panel.series):
        if not searched.tests[number].n_windows:
            continue
        start = cut(len(one.values), searched.horizon, 0)
        season = searched.seasons[number]
        model = Candidate("AutoETS", (season if season <= 24 else 1,))
        fit = predict(model, one.values[:start][-MAX_POINTS:], searched.horizon)
        mean = fit[0] if fit is not None else np.full(searched.horizon, one.values[start - 1])
        scale = search.scale_of(one, season, start)
        windows.append(scores.Predicted(one.values[start:], one.observed[start:], mean, {}, scale))
    return scores.metrics(windows)["mase"]


def panel_of(frame: pd.DataFrame) -> Panel:
    """Return the series, as a training reads them."""
    frame = frame.sort_values(["series", "time"]).reset_index(drop=True)
    columns = (Column("time", "timestamp without time zone", "timestamp"), Column("series", "text", "text"))
    features = pd.DataFrame(
        {"time": frame["time"].astype("datetime64[us]"), "series": frame["series"].astype(object)}
    )
    rows = TrainingRows(features, frame["value"].to_numpy(float), np.arange(len(frame), dtype=np.uint64), "")
    return read_panel(rows, columns, Column("value", "double precision", "number"), None, None)


def job_of(horizon: int) -> TrainingJob:
    """Return the job of a forecast with the default settings."""
    spec = TrainingSpec(
        "bench", "model.bench", "db", "s", "f", "value", model_types=("forecast",),
        settings=Settings(horizon=horizon, percentiles=PERCENTILES),
    )  # fmt: skip
    return TrainingJob(spec, (), None, "", "", "", {}, "", n_threads=2)


def many(n_series: int) -> float:
    """Return the seconds of search, evaluation and refit of made-up monthly series."""
    random, months = np.random.default_rng(0), np.arange(120)
    frames = []
    for number in range(n_series):
        season = 10 * random.random() * np.sin(2 * np.pi * (months + random.integers(12)) / 12)
        values = 100 + random.normal(0, 0.3) * months + season + random.normal(0, 3, 120).cumsum() / 3
        times = pd.date_range("2014-01-01", periods=120, freq="MS")
        frames.append(pd.DataFrame({"time": times, "value": values, "series": str(number)}))
    panel, job = panel_of(pd.concat(frames)), job_of(12)
    started = time.perf_counter()
    report = Report(lambda *_: None)
    searched = search.search(panel, job, "mase", report)
    evaluated = evaluation.evaluate(panel, searched, PERCENTILES, "mase")
    search.refit(panel, job, searched, report)
    seconds = time.perf_counter() - started
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    print(f"{cpu:.0f} s of CPU time, processes and imports included")
    print("\n" + "\n".join(report.messages))
    print(f"MASE {evaluated.metrics['mase']:.3f}, seasonal naive {evaluated.metrics['naive_mase']:.3f}")
    return seconds


if __name__ == "__main__":
    main()
