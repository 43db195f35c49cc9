"""Where the rows of each cluster are, and how many there are."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from postgres_ml.snapshot.rows import Array
from postgres_ml.track.plots.style import MAX_POINTS, PALETTE, dress, new_figure

MAX_BARS = 30


def clusters(space: Array, labels: Array, n_clusters: int) -> Figure:
    """Return the rows along the two directions in which they differ most, and the clusters' sizes.

    Parameters
    ----------
    space : rows as the clustering sees them, of shape (n_rows, n_encoded)
    labels : their clusters
    """
    figure = new_figure("Clusters on the hold-out", (8.0, 4.8))
    axes, beside = figure.subplots(1, 2, width_ratios=(3, 1))
    dress(axes, "first principal component", "second principal component")
    points = PCA(n_components=min(2, *space.shape)).fit_transform(space[:MAX_POINTS])
    second = points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
    for number in range(n_clusters):
        mine = labels[:MAX_POINTS] == number
        color = PALETTE[number % len(PALETTE)]
        axes.scatter(points[mine, 0], second[mine], s=20, alpha=0.6, color=color, linewidths=0)
        if mine.any():
            at = points[mine, 0].mean(), second[mine].mean()
            box = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": color, "alpha": 0.9}
            axes.annotate(str(number), at, fontsize=9, ha="center", va="center", bbox=box)
    sizes = np.bincount(labels, minlength=n_clusters)[:MAX_BARS]
    dress(beside, "rows", "cluster")
    colors = [PALETTE[number % len(PALETTE)] for number in range(len(sizes))]
    beside.barh(range(len(sizes)), sizes, color=colors, height=0.7)
    beside.set_yticks(range(len(sizes)))
    beside.invert_yaxis()
    beside.grid(visible=False, axis="y")
    beside.locator_params(axis="x", nbins=3)
    return figure
