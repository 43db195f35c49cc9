"""KMeans and MiniBatchKMeans.

Source: sklearn/cluster/_kmeans.py (predict, _labels_inertia), _k_means_lloyd.pyx.
Exactness: labels compare |c|^2 - 2 x.c, as scikit-learn does, which tells centres apart where distances from
a row far out are all the same. x.c is added up column by column, each product rounded; BLAS rounds product
and sum at once, so a label can differ where two of these are equal but for the last digits of their terms,
and where a product x * c is beyond the greatest double. Distances are those of the definition.
Refused: single precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from postgres_ml.lower.builder import MAX_FLOAT64, Builder, Matrix, Scores, floats, rows, unsupported
from postgres_ml.program.encoders import Impute
from postgres_ml.program.program import ClusterLabel
from postgres_ml.program.scorers import Distances, Linear, WeightedSum


def parse_kmeans(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the number of the nearest centre."""
    if matrix.single or estimator.cluster_centers_.dtype != np.float64:
        raise unsupported(estimator, "single-precision centres or columns", "train on float64")
    slots = builder.check(matrix)
    centers = rows(estimator.cluster_centers_)
    distances = builder.add_wide(Distances(slots, centers))
    scores = _scores(estimator.cluster_centers_, slots, builder)
    if matrix.sparse:  # scikit-learn compares the first with the greatest number, too
        scores = (builder.add(Impute(scores[0], MAX_FLOAT64)), *scores[1:])
    return Scores(ClusterLabel(tuple(range(len(centers))), distances, scores))


def _scores(centers: Any, slots: tuple[int, ...], builder: Builder) -> tuple[int, ...]:
    """Return slots of |c|^2 - 2 x.c, operation by operation as the library has them: 2 x.c may overflow."""
    n_centers = len(centers)
    products = builder.add_wide(Linear(slots, rows(centers), (0.0,) * n_centers))
    squares = floats(np.einsum("ij,ij->i", centers, centers))  # as sklearn.utils.extmath.row_norms adds them
    norms = builder.add_wide(Linear((), ((),) * n_centers, squares))
    return builder.add_wide(WeightedSum((products, norms), (-2.0, 1.0)))
