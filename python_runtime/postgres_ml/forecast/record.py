"""The files of a forecast, and what MLflow is told of it: as `track.artifacts` and `track.run_record` do."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

from postgres_ml.components.forecast_table import ForecastTable
from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import StorageError
from postgres_ml.contract.forecast import HORIZON
from postgres_ml.contract.job import TrainingJob
from postgres_ml.forecast import card, plots
from postgres_ml.forecast.fitted import Forecast
from postgres_ml.generate import create_statement
from postgres_ml.process.report import Report
from postgres_ml.snapshot.copy import SnapshotSummary
from postgres_ml.track.card import pages
from postgres_ml.track.run_record import RunRecord, write_model


def snapshot_summary(job: TrainingJob) -> SnapshotSummary:
    """Return what was copied."""
    return json_file.read(SnapshotSummary, Path(job.directory) / "snapshot.json")


def write_artifacts(forecast: Forecast, report: Report, folder: Path, run_id: str) -> None:
    """Write card, plots, function, values and candidates into the folder, which is made.

    Raises
    ------
    StorageError
        A file can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        images = plots.draw_all(forecast, folder / "plots")
        parts = card.sections(forecast, report, images, run_id)
        heading, lead = card.title(forecast), card.lead(forecast)
        _write(folder / "model_card.md", pages.markdown(heading, lead, parts))
        _write(folder / "model_card.html", pages.to_html(heading, lead, parts))
        _write(
            folder / "functions.sql", create_statement(forecast.function, forecast.job.spec.schema) + ";\n"
        )
        _write(folder / "training_query.sql", forecast.job.query)
        _write(folder / "trials.json", _trials(forecast))
        with (folder / "forecast.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([name for name, _ in forecast.table.columns])
            writer.writerows(cells for _, cells in forecast.table.rows())
    except OSError as error:
        raise StorageError(f"the training's files can't be written to {folder}: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _trials(forecast: Forecast) -> str:
    """Return the candidates as MLflow's tables are stored: pandas' orient 'split'."""
    shares = forecast.searched.shares
    data = [
        [candidate.shown, gain, shares.get(candidate.shown, 0)]
        for candidate, gain in forecast.searched.choice.gains.items()
    ]
    return json.dumps({"columns": ["candidate", "log_loss_ratio", "n_series"], "data": data})


def write_record(forecast: Forecast, directory: Path) -> None:
    """Write the record of the training, and the table as a model.

    Raises
    ------
    StorageError
        A file can't be written.
    """
    write_model(model_of(forecast), pd.DataFrame({HORIZON.name: [forecast.searched.horizon]}), directory)
    RunRecord(
        time=int(time.time() * 1000),
        parameters={name: str(value) for name, value in _parameters(forecast).items()},
        metrics=forecast.evaluated.metrics,
        dataset=_dataset(forecast),
    ).write(directory)


def model_of(forecast: Forecast) -> ForecastTable:
    """Return the forecast as MLflow keeps it."""
    rows = list(forecast.table.rows())
    n_keys = len(forecast.table.series) + 1
    columns: dict[str, list[Any]] = {
        name: [cells[i] if i < n_keys else float(cells[i] or "nan") for _, cells in rows]
        for i, (name, _) in enumerate(forecast.table.columns)
    }
    return ForecastTable(columns, [step for step, _ in rows])


def _parameters(forecast: Forecast) -> dict[str, Any]:
    spec, searched = forecast.job.spec, forecast.searched
    return {
        "target": spec.target,
        "problem_type": "forecasting",
        "model_type": "forecast",
        "objective": forecast.objective,
        "horizon": searched.horizon,
        "frequency": forecast.panel.grid.frequency,
        "percentiles": ", ".join(forecast.table.percentiles),
        "n_series": len(forecast.panel.series),
        "n_windows": forecast.evaluated.n_windows,
        "members": json.dumps(searched.shares),
        "given_up": ", ".join(searched.plan.given_up) or "nothing",
        "settings.max_runtime": spec.settings.max_runtime,
    }


def _dataset(forecast: Forecast) -> tuple[str, ...]:
    job, n_rows = forecast.job, sum(int(one.observed.sum()) for one in forecast.panel.series)
    columns = [{"name": c.name, "type": c.sql_type} for c in job.columns]
    return (
        job.spec.name,
        hashlib.sha256(str(snapshot_summary(job).digest).encode()).hexdigest()[:16],
        "sql",
        json.dumps({"database": job.spec.database, "query": job.query}),
        json.dumps({"columns": columns}),
        json.dumps({"num_rows": n_rows, "num_elements": n_rows * len(columns)}),
    )
