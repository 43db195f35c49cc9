"""The curves of an additive model: what each column adds to the score, and what pairs add to that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from postgres_ml.publish.bin_names import AxisNames
from postgres_ml.publish.scorecard import CardTerm, Scorecard
from postgres_ml.track.plots.style import BLUE, DARK, PALETTE, dress, legend, new_figure, note, short

MAX_CURVES, MAX_PAIRS = 12, 6
ACROSS = 3
MAX_BARS = 14
MAX_LABELS = 4  # of many classes, those whose points differ most


def term_curves(card: Scorecard) -> Figure:
    """Return steps of numbers and bars of categories, the most important columns first."""
    terms = [term for term in card.terms if len(term.axes) == 1]
    figure, places = _grid("What each column adds to the score", len(terms), MAX_CURVES, card.unit)
    for axes, term in zip(places, terms, strict=False):
        draw = _steps if term.axes[0].edges else _bars
        draw(dress(axes, "", ""), term, card.labels)
        axes.set_title(short(term.name, 34), fontsize=10, color=DARK, loc="left")
    if len(terms) > MAX_CURVES:
        note(places[0], f"{short(terms[0].name, 20)} (the first {MAX_CURVES} of {len(terms)} columns)")
    return figure


def pair_maps(card: Scorecard) -> Figure:
    """Return the points of pairs as colours, of several classes the first one's, most important first."""
    terms = [term for term in card.terms if len(term.axes) == 2]
    figure, places = _grid("What pairs of columns add to that", len(terms), MAX_PAIRS, card.unit)
    for axes, term in zip(places, terms, strict=False):
        points = term.points[0]
        limit = float(np.abs(points).max()) or 1.0
        shown = [[n for n, name in enumerate(axis.bins) if name is not None] for axis in term.axes]
        image = axes.imshow(points[np.ix_(*shown)].T, aspect="auto", origin="lower", cmap="RdBu_r",
                            vmin=-limit, vmax=limit)  # fmt: skip
        for axis, set_ticks, indices in zip(
            term.axes, (axes.set_xticks, axes.set_yticks), shown, strict=True
        ):
            chosen = np.unique(np.linspace(0, len(indices) - 1, min(5, len(indices))).astype(int))
            set_ticks(chosen, [short(str(axis.bins[indices[n]]), 14) for n in chosen], fontsize=7)
        axes.tick_params(axis="x", rotation=25)
        axes.set_title(short(term.name, 34), fontsize=10, color=DARK, loc="left")
        figure.colorbar(image, ax=axes, fraction=0.05).ax.tick_params(labelsize=7)
    return figure


def _grid(title: str, n: int, most: int, unit: str) -> tuple[Figure, list[Any]]:
    n = min(n, most)
    down = max(1, math.ceil(n / ACROSS))
    figure = new_figure(f"{title}, {unit}", (9.6, 0.6 + 2.3 * down))
    return figure, [figure.add_subplot(down, ACROSS, place + 1) for place in range(n)]


def _shown(term: CardTerm) -> list[int]:
    """Return the scores to draw."""
    spread = np.ptp(term.points.reshape(len(term.points), -1), axis=1)
    return sorted(np.argsort(-spread, kind="stable")[:MAX_LABELS].tolist())


def _steps(axes: Any, term: CardTerm, labels: Sequence[str]) -> None:
    """Draw the steps; missing values are a dot on the right."""
    edges = np.array(term.axes[0].edges)
    width = (edges[-1] - edges[0]) / 12 or max(abs(edges[0]), 1.0) / 12
    ends = np.concatenate([[edges[0] - width], edges, [edges[-1] + width]])
    for color, score in zip(PALETTE, _shown(term), strict=False):
        points = term.points[score]
        axes.stairs(points[: len(edges) + 1], ends, baseline=None, color=color, linewidth=1.4,
                    label=short(labels[score], 12))  # fmt: skip
        if term.axes[0].bins[-1] is not None and term.shares[-1] > 0:
            axes.plot([ends[-1] + width], [points[-1]], "o", color=color, markersize=4)
            axes.annotate("missing", (ends[-1] + width, points[-1]), (0, 5), textcoords="offset points",
                          ha="center", fontsize=7, color=DARK)  # fmt: skip
    axes.axhline(0, color=DARK, linewidth=0.6)
    if len(labels) > 1:
        legend(axes, loc="best")


def _bars(axes: Any, term: CardTerm, labels: Sequence[str]) -> None:
    """Draw bars of the categories with the most rows; what no row had is left out."""
    names: AxisNames = term.axes[0]
    seen = [n for n in np.argsort(-term.shares, kind="stable") if term.shares[n] > 0 and names.bins[n]][
        :MAX_BARS
    ]
    places, scores = np.arange(len(seen)), _shown(term)
    height = 0.75 / len(scores)
    for row, score in enumerate(scores):
        color = BLUE if len(scores) == 1 else PALETTE[row]
        axes.barh(places + row * height, term.points[score, seen], height=height, color=color,
                  label=short(labels[score], 12))  # fmt: skip
    axes.set_yticks(
        places + height * (len(scores) - 1) / 2, [short(str(names.bins[n]), 16) for n in seen], fontsize=7
    )
    axes.invert_yaxis()
    axes.axvline(0, color=DARK, linewidth=0.6)
    if len(labels) > 1:
        legend(axes, loc="best")
