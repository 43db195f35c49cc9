"""How wide a regression's intervals are, and how many true values lie in them, as the card shows it.

Input: `Fitted`. Output: a section.
"""

from __future__ import annotations

from postgres_ml.publish.fitted import Fitted
from postgres_ml.track.card.pages import Section
from postgres_ml.track.card.readings import number


def interval_section(fitted: Fitted) -> Section:
    """Return coverage and width on the hold-out, in all and by tenth of the prediction."""
    interval = fitted.interval
    assert interval is not None, "the section of a model with intervals"
    share = f"{interval.level:.4g}"
    widths = f"every interval is {number(2 * interval.factor)} wide"
    if interval.scale is not None:
        least, most = (number(2 * interval.factor * limit) for limit in (interval.least, interval.most))
        widths = (
            f"intervals are wide where errors are large, from {least} to {most}, as a small model of the "
            "errors says"
        )
    texts = [
        f"{fitted.job.spec.function}_interval returns bounds between which the true value shall lie in "
        f"{share} of rows like these; {widths}. On the hold-out {interval.coverage:.1%} did, in intervals of "
        f"{number(interval.width)} on average.",
        f"The width follows from the errors on the hold-out ({interval.n_rows:,} rows), from which the "
        "evaluated model had not learned. The table measures each of these rows by a width that other rows "
        "gave. In all rows together the share is what was asked; in a tenth of them it may be less.",
    ]
    if fitted.task.spec.settings.split_column is not None:
        texts.append(
            "Rows to come are covered as well only as far as they resemble the hold-out: what changes "
            "with time can't be in it."
        )
    rows = [
        (
            f"{number(group.low)} to {number(group.high)}",
            f"{group.n_rows:,}",
            f"{group.coverage:.1%}",
            number(group.width),
        )
        for group in interval.groups
    ]
    return Section("How sure it is", texts, [("prediction", "rows", "covered", "mean width"), *rows])
