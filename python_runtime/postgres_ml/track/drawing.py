"""Plots and card of a training, as a file until they are drawn: nothing that is published waits for them.

Input: `Fitted`. Output in the job's folder: `drawing.pickle`, and in its place, when it is drawn,
`artifacts/plots` and the card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cloudpickle

from postgres_ml.process.report import Report
from postgres_ml.publish.fitted import Fitted
from postgres_ml.track.card import card, pages
from postgres_ml.track.card.pages import Section
from postgres_ml.track.plots import Picture, pictures

FILE = "drawing.pickle"
PLOTS, CARDS = "plots", ("model_card.md", "model_card.html")


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn, and the card around it.

    Parameters
    ----------
    title, lead, parts : of the card
    """

    pictures: Sequence[Picture]
    title: str
    lead: str
    parts: Sequence[Section]

    def draw(self, folder: Path) -> None:
        """Draw the plots and write the card into a folder."""
        from postgres_ml.track.plots.draw import draw_all  # heavy: matplotlib comes in with it

        draw_all(self.pictures, folder / PLOTS)
        texts = (
            pages.markdown(self.title, self.lead, self.parts),
            pages.to_html(self.title, self.lead, self.parts),
        )
        for name, text in zip(CARDS, texts, strict=True):
            (folder / name).write_text(text, encoding="utf-8", newline="\n")


def write_drawing(fitted: Fitted, report: Report, directory: Path, run_id: str) -> None:
    """Write what is to be drawn into a job's folder."""
    shown = pictures(fitted)
    images = [directory / "artifacts" / PLOTS / f"{picture.name}.png" for picture in shown]
    parts = card.sections(fitted, report, images, run_id)
    with (directory / FILE).open("wb") as file:
        cloudpickle.dump(Drawing(shown, card.title(fitted), card.lead(fitted), parts), file)


def draw_pending(directory: Path) -> bool:
    """Draw what `write_drawing` left in a job's folder, once; return whether there was anything."""
    file = directory / FILE
    if not file.exists():
        return False
    drawing: Drawing = cloudpickle.loads(file.read_bytes())
    drawing.draw(directory / "artifacts")
    file.unlink()
    return True
