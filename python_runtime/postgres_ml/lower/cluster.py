"""KMeans and MiniBatchKMeans.

Source: sklearn/cluster/_kmeans.py (predict, _labels_inertia), _k_means_lloyd.pyx.
Exactness: distances are computed one by one; scikit-learn compares |c|^2 - 2 x.c from BLAS, so a label can
differ only where two centres are equally far within 1e-12 relative.
Refused: single precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from postgres_ml.lower.builder import Builder, Matrix, Scores, rows, unsupported
from postgres_ml.program.program import ClusterLabel
from postgres_ml.program.scorers import Distances


def parse_kmeans(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the number of the nearest centre."""
    if matrix.single or estimator.cluster_centers_.dtype != np.float64:
        raise unsupported(estimator, "single-precision centres or columns", "train on float64")
    distances = builder.add_wide(Distances(builder.check(matrix), rows(estimator.cluster_centers_)))
    return Scores(ClusterLabel(tuple(range(len(distances))), distances))
