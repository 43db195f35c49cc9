"""What an additive model's terms add to the score, as the card shows it.

Input: `Fitted` and the plots' files. Output: a section.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from postgres_ml.publish.fitted import Fitted
from postgres_ml.track.card.pages import Section
from postgres_ml.track.card.readings import number

MAX_TERMS = 30


def scorecard_section(fitted: Fitted, images: Sequence[tuple[Path, str]]) -> Section:
    """Return the terms, the most important first, with their curves.

    Parameters
    ----------
    images : files and captions of the curves
    """
    card, spec = fitted.scorecard, fitted.job.spec
    assert card is not None, "the section of an additive model"
    of = {1: "the score", 2: "each class's score"}[min(len(card.labels), 2)]
    if len(card.labels) == 1 and card.labels[0]:
        of = f"the score, the log-odds of {card.labels[0]!r},"
    texts = [
        f"The model is a scorecard: {of} is {', '.join(map(number, card.intercepts))} and, of each term, the "
        f"points of the bin that the row falls into, in {card.unit}. {spec.function}_scorecard() lists all "
        "bins and points: whoever adds them up gets what the function computes.",
    ]
    rows = [
        (
            term.name,
            str(sum(1 for _ in term.bins())),
            number(float(term.points.min())),
            number(float(term.points.max())),
            number(term.importance),
        )
        for term in sorted(card.terms, key=lambda term: -term.importance)[:MAX_TERMS]
    ]
    if len(card.terms) > MAX_TERMS:
        texts.append(f"Shown are the {MAX_TERMS} most important of {len(card.terms)} terms.")
    head = ("term", "bins", "least points", "most points", "mean |points|")
    return Section("Its scorecard", texts, [head, *rows], images=images)
