"""A forecast from snapshot to function: what `pipeline.train` is for a model that scores rows.

Input: a job whose spec is a forecast's, `snapshot.bin`, the id of an MLflow run. Output: `TrainedModel` and
files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from postgres_ml.contract.forecast import HORIZON, STEP_WORDS, column_name, ordered
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import (
    DeployedFunctions,
    Evaluation,
    ModelSummary,
    RunReference,
    TrainedModel,
)
from postgres_ml.forecast import calendar, evaluation, record, search
from postgres_ml.forecast.backtest import check_horizon, n_windows
from postgres_ml.forecast.evaluation import Evaluated
from postgres_ml.forecast.fitted import Forecast
from postgres_ml.forecast.panel import Panel, named, read_panel
from postgres_ml.forecast.search import Searched
from postgres_ml.forecast.spread import quantiles, standard_quantiles
from postgres_ml.forecast.table import Table, Told, check_size, function_of, write_parity
from postgres_ml.process.report import Relay, Report
from postgres_ml.snapshot import rows as snapshot_rows

DEFAULT_OBJECTIVE = "mase"
#: of the phases after the search, for estimates
EXPECTED_S = {"evaluate": 0.1, "refit": 1.0, "lower": 0.2, "parity rows": 0.2, "artifacts": 2.5, "track": 3.0}


def train(job: TrainingJob, run_id: Callable[[], str], relay: Relay) -> TrainedModel:
    """Choose, evaluate and publish a forecast of all series; return what is to be published.

    Raises
    ------
    PostgresMLError
        Rows that no forecast can be made of, a store that can't be written.
    """
    spec, directory, report = job.spec, Path(job.directory), Report(relay, expected_s=EXPECTED_S.copy())
    objective = spec.objective or DEFAULT_OBJECTIVE
    with report.phase("load"):
        panel = load(job, directory / "snapshot.bin", report)
    with report.phase("search"):
        searched = search.search(panel, job, objective, report)
    with report.phase("evaluate"):
        evaluated = evaluation.evaluate(panel, searched, ordered(spec.settings.percentiles), objective)
    with report.phase("refit"):
        table = told(job, panel, searched, evaluated, report)
    with report.phase("lower"):
        function = function_of(table, spec.function)
    with report.phase("parity rows"):
        write_parity(directory / "parity.copy", table)
    forecast = Forecast(job, panel, searched, evaluated, table, function, objective)
    with report.phase("artifacts"):
        record.write_artifacts(forecast, report, directory / "artifacts", run_id())
        record.write_record(forecast, directory)
    return TrainedModel(
        summary=summary_of(forecast),
        deployed=DeployedFunctions(
            (function,),
            "sql",
            "a forecast's values are in its body",
            parity_file=str(directory / "parity.copy"),
        ),
        evaluation=Evaluation(objective, evaluated.metrics[objective], evaluated.metrics),
        run=RunReference(run_id()),
        messages=tuple(report.messages),
        seconds=report.seconds,
    )


def load(job: TrainingJob, snapshot: Path, report: Report) -> Panel:
    """Return the rows as series that are long enough; the snapshot is deleted.

    Raises
    ------
    TrainingDataError
        The horizon is longer than history allows, or the function would be too great.
    """
    settings, target = job.spec.settings, job.target
    assert target is not None and settings.horizon is not None  # the config asks for both
    rows = snapshot_rows.load(snapshot, job.features, target, settings.seed)
    snapshot.unlink()  # the database's rows stay on the disk no longer than they must
    panel = read_panel(rows, job.features, target, settings.frequency, job.time_zone)
    for text in (*_null_note(job, len(rows)), *panel.notes):
        report.note(text, "warning" if text.startswith("not forecast") else "info")
    longest = max(len(one.values) for one in panel.series)
    check_horizon(longest, settings.horizon, STEP_WORDS[panel.grid.frequency])
    check_size(len(panel.series), settings.horizon, len(settings.percentiles))
    _note_lengths(panel, settings.horizon, report)
    report.progress(f"{len(panel.series):,} series of {len(rows):,} rows, {longest:,} steps at most")
    return panel


def _null_note(job: TrainingJob, n_rows: int) -> list[str]:
    n_null = record.snapshot_summary(job).n_null_target
    name = job.target.name if job.target else ""
    return [f'{n_null:,} rows are left out: their target "{name}" is NULL'] if n_null else []


def _note_lengths(panel: Panel, horizon: int, report: Report) -> None:
    """Name the series that say less than the others, or that ended before them."""
    short = [one for one in panel.series if not n_windows(len(one.values), horizon)]
    if short:
        report.note(
            f"too short to be judged, so what is best for the others is taken: {named(panel, short)}",
            "warning",
        )
    last = max(int(one.times[-1]) for one in panel.series)
    ended = [
        one for one in panel.series if calendar.following(one.last, one.day, panel.grid, horizon)[-1] < last
    ]
    if ended:
        report.note(
            f"forecast from their own last row on, which is more than {horizon} steps before the newest: "
            f"{named(panel, ended)}",
            "warning",
        )


def told(job: TrainingJob, panel: Panel, searched: Searched, evaluated: Evaluated, report: Report) -> Table:
    """Return what the function tells: the choice fitted on all points."""
    percentiles = ordered(job.spec.settings.percentiles)
    horizon = searched.horizon
    levels = evaluation.levels(percentiles)
    standard = standard_quantiles(levels, evaluated.errors, horizon)
    found = []
    for one, (mean, width) in zip(panel.series, search.refit(panel, job, searched, report), strict=True):
        least = evaluation.least_of(one.values)
        mean = mean if least is None else np.maximum(mean, least)
        times = calendar.following(one.last, one.day, panel.grid, horizon)
        found.append(Told(one.key, times, mean, quantiles(mean, width, levels, standard, least)))
    time, *series = job.features
    return Table(time, tuple(series), percentiles, tuple(found), horizon)


def summary_of(forecast: Forecast) -> ModelSummary:
    """Return what kind of model it is, and what it learned from."""
    panel, horizon = forecast.panel, forecast.searched.horizon
    n_rows = sum(int(one.observed.sum()) for one in panel.series)
    return ModelSummary(
        features=(HORIZON,),
        return_type=forecast.function.returns,
        problem_type="forecasting",
        model_type="forecast",
        objective=forecast.objective,
        n_rows=n_rows,
        n_holdout=sum(int(one.observed[-horizon:].sum()) for one in forecast.judged),
        hyperparameters={
            "horizon": horizon,
            "frequency": panel.grid.frequency,
            "percentiles": ", ".join(map(column_name, forecast.table.percentiles)),
            "n_series": len(panel.series),
            "members": forecast.searched.shares,
        },
    )
