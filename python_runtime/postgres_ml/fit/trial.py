"""What one candidate's trial found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from postgres_ml.fit.candidates import Candidate
from postgres_ml.snapshot.rows import Array

State = Literal["done", "pruned", "failed", "late"]


@dataclass(frozen=True)
class Trial:
    """A candidate's trial: scores on rows that were not learned from.

    Parameters
    ----------
    score : the objective's metric, greater is better (mse negated); NaN unless done
    loss : log_loss, or mse for a regression; of a pruned trial, that of the first look; NaN for none
    n_trees : trees per class or epochs for a fit on all rows; 0 for a linear candidate
    n_nodes : tree nodes of that fit
    threshold : probability from which class 1 is predicted
    seconds : of computing, over all folds
    best_s : of these, those up to the best round, in a fold's mean: what a fit of that many takes
    finished_s : seconds from the search's beginning
    first_s, first_loss : the same of its first fit, which could be published from then on, and the loss on
        the rows that this predicted; NaN where there is none
    truth : class codes or true values of the rows that were predicted
    raw : their predicted values, or probabilities of shape (n_rows, n_classes); empty unless done
    weight : how much each of these rows counts; None counts all alike
    unit_s : seconds of one boosting round, epoch or iteration of a fold's fit
    is_cut : whether time ended a fit before it was through: it has fewer trees or epochs than it would have
    state : 'done'; 'pruned' after the first look, or a stack that gains nothing; 'failed', with the reason in
        `note`; 'late', cut by time
    """

    candidate: Candidate
    score: float
    loss: float
    n_trees: int
    n_nodes: int
    threshold: float
    seconds: float
    truth: Array
    raw: Array
    best_s: float = 0.0
    finished_s: float = 0.0
    first_s: float = math.nan
    first_loss: float = math.nan
    unit_s: float = 0.0
    is_cut: bool = False
    state: State = "done"
    note: str = ""
    weight: Array | None = None

    def row(self, metric: str, *, chosen: bool) -> dict[str, Any]:
        """Return the trial as a row of the table that MLflow keeps."""
        return {
            "candidate": self.candidate.name,
            "model_type": self.candidate.model_type,
            "state": self.state,
            metric: None if self.score != self.score else abs(self.score),
            "loss": None if self.loss != self.loss else self.loss,
            "threshold": self.threshold,
            "n_trees": self.n_trees,
            "n_nodes": self.n_nodes,
            "seconds": round(self.seconds, 3),
            "finished_s": round(self.finished_s, 3),
            "first_s": None if self.first_s != self.first_s else round(self.first_s, 3),
            "first_loss": None if self.first_loss != self.first_loss else self.first_loss,
            "chosen": chosen,
            "parameters": self.candidate.parameters,
            "encoding": self.candidate.encoding,
            "log_target": self.candidate.log_target,
            "scores_of": ", ".join(one.candidate.name for one in self.candidate.below),
            "cut_short": self.is_cut,
            "note": self.note,
        }
