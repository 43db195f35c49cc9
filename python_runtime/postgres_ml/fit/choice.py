"""What is fitted: one candidate, a blend of several, or the estimator of the user's own code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from postgres_ml.fit.candidates import Candidate, Member
from postgres_ml.fit.trial import Trial
from postgres_ml.fit.user_code import UserCode
from postgres_ml.snapshot.rows import Array


@dataclass(frozen=True)
class KeptFit:
    """An estimator that the search fitted on one fold's rows, kept in case there is no time for another fit.

    Parameters
    ----------
    estimator : of class codes or numbers, fitted on the candidate's encoding of the rows
    n_rows : it learned from
    columns : the fitted encoding, without the words of texts; None where it has to be fitted once more
    weight : of its predictions, among those of all parts
    words : the fitted transformer of words, whose columns follow; None where there are none
    """

    candidate: Candidate
    estimator: Any
    n_rows: int
    columns: Any = None
    weight: float = 1.0
    words: Any = None


@dataclass(frozen=True)
class OutOfFold:
    """What the search's folds predicted of rows that they did not learn from.

    Parameters
    ----------
    rows : increasing places in the training rows
    predicted : values of shape (n_rows,), float32; of a regression
    """

    rows: Array
    predicted: Array


@dataclass(frozen=True)
class Choice:
    """What to fit.

    Parameters
    ----------
    candidate : of the one estimator, or a name for the blend of `members`
    n_trees : None leaves it to the candidate's parameters
    threshold : probability from which class 1 is predicted; None is the estimator's own rule
    trials : what it was chosen from; empty when it was configured
    reason : why it was chosen
    members : of a blend; empty for one estimator
    code : of a dbt model in Python, which fits an estimator of its own; None otherwise
    class_multipliers : of the classes' probabilities: the greatest product is the label; empty for the most
        likely class
    row_share : of the rows, which is fitted on: less than 1 where time is too short for all of them
    fold_fits : the same parts as the search fitted them on one fold; empty if they weren't kept
    is_fold_fit : whether these are published, since there is no time to fit anything as good again
    fit_s : estimate of the seconds that one fit takes; 0 where there is none
    lower_s : estimate of the seconds that it takes to write its functions
    instead : what is published if time ends the fit of this one, of which no fold's fit can be: a stack; or
        None
    loss : on rows not learned from, by which it was chosen; None where it was not compared
    out_of_fold : of a regression, what it predicted of these rows; None where it was fitted on other rows or
        where nobody asks
    """

    candidate: Candidate
    n_trees: int | None = None
    threshold: float | None = None
    trials: tuple[Trial, ...] = ()
    reason: str = "as configured"
    members: tuple[Member, ...] = ()
    code: UserCode | None = None
    class_multipliers: tuple[float, ...] = ()
    row_share: float = 1.0
    fold_fits: tuple[KeptFit, ...] = ()
    is_fold_fit: bool = False
    instead: Choice | None = None
    loss: float | None = None
    out_of_fold: OutOfFold | None = None
    fit_s: float = 0.0
    lower_s: float = 0.0
