"""A finished forecast, for the steps that record it: files, card, plots, MLflow."""

from __future__ import annotations

from dataclasses import dataclass

from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import FunctionBody
from postgres_ml.forecast.evaluation import Evaluated
from postgres_ml.forecast.panel import Panel, Series
from postgres_ml.forecast.search import Searched
from postgres_ml.forecast.table import Table


@dataclass(frozen=True)
class Forecast:
    """What was read, chosen, judged and told.

    Parameters
    ----------
    objective : the metric that candidates were compared by
    """

    job: TrainingJob
    panel: Panel
    searched: Searched
    evaluated: Evaluated
    table: Table
    function: FunctionBody
    objective: str

    @property
    def judged(self) -> list[Series]:
        """The series that are long enough for a hold-out."""
        return [self.panel.series[number] for number in self.evaluated.numbers]
