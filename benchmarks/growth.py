"""The figure of how training grows with the rows, beside the table of `bench_scale`."""

from __future__ import annotations

import results
from postgres_ml.track.plots import style

FIGURE = results.RESULTS.with_name("scale.svg")
FIELDS = (("cpu", 1.0, "CPU seconds"), ("peak", 1e6, "MB beside the libraries"))
LINES = {"numbers": "-", "texts": "--"}


def draw_growth(measured: list[tuple[str, int, str, dict[str, float]]]) -> None:
    """Write CPU seconds and peak memory by the number of rows.

    Parameters
    ----------
    measured : kind of columns, rows, way and figures, as the table has them
    """
    ways = list(dict.fromkeys(way for _, _, way, _ in measured))
    figure = style.new_figure("How training grows with the rows", (11.0, 4.2))
    for place, (field, unit, label) in enumerate(FIELDS):
        axes = style.dress(figure.add_subplot(1, 2, 1 + place), "rows", label)
        for color, way in zip(style.PALETTE, ways, strict=False):
            for kind, line in LINES.items():
                points = [(n, found[field] / unit) for k, n, w, found in measured if (k, w) == (kind, way)]
                if points:
                    rows, values = zip(*points, strict=True)
                    axes.plot(rows, values, line, color=color, marker="o", label=f"{way}, {kind}")
        axes.set_xscale("log")
        axes.set_yscale("log")
    style.legend(figure.axes[-1], loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.savefig(FIGURE)
