"""Evaluation of a clustering: how well the clusters are separated, their means, and the distances of rows.

Input: a fitted pipeline that ends in KMeans, and rows. Output: metrics by name, means, distances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_score
from sklearn.pipeline import Pipeline

from postgres_ml.snapshot.rows import Array

SILHOUETTE_ROWS = 5_000  # it compares each row with each other
BLOCK_ROWS = 4_096


def evaluate_clusters(pipeline: Pipeline, frame: pd.DataFrame) -> dict[str, float]:
    """Return inertia and silhouette of the rows.

    inertia is the sum of the rows' squared distances to their cluster's centre, in the space that the
    preprocessing makes. silhouette (-1 to 1, of at most 5,000 rows) is left out where all rows are in one
    cluster.
    """
    space = encoded(pipeline, frame)
    distances = distances_to(pipeline[-1].cluster_centers_, space)
    metrics = {"inertia": float(np.sum(distances.min(axis=1) ** 2))}
    rows = slice(SILHOUETTE_ROWS)  # rows come in random order
    labels = pipeline[-1].predict(space[rows])
    if 1 < len(np.unique(labels)) < len(labels):
        metrics["silhouette"] = float(silhouette_score(space[rows], labels))
    return metrics


def encoded(pipeline: Any, frame: pd.DataFrame) -> Array:
    """Return the rows as the last step takes them, of shape (n_rows, n_encoded)."""
    rows = pipeline[:-1].transform(frame) if isinstance(pipeline, Pipeline) else frame
    return np.asarray(rows, dtype=np.float64)


def distances_to(centers: Array, space: Array) -> Array:
    """Return the Euclidean distances of shape (n_rows, n_clusters).

    By the definition: KMeans.transform computes x^2 - 2xc + c^2, which near a centre is off by 1e-8.
    """
    distances = np.empty((len(space), len(centers)))
    for start in range(0, len(space), BLOCK_ROWS):
        block = space[start : start + BLOCK_ROWS]
        for number, center in enumerate(centers):
            distances[start : start + BLOCK_ROWS, number] = np.sqrt(np.sum((block - center) ** 2, axis=1))
    return distances


def predict_distances(pipeline: Any, frame: pd.DataFrame) -> Array:
    """Return each row's distance to every centre, of shape (n_rows, n_clusters); raises as predict does.

    Parameters
    ----------
    pipeline : one that ends in an estimator with centres, or such an estimator
    """
    space = encoded(pipeline, frame)
    last = pipeline[-1] if isinstance(pipeline, Pipeline) else pipeline
    last.predict(space)
    return distances_to(last.cluster_centers_, space)


def profile(pipeline: Pipeline, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the clusters' sizes ('rows') and the mean of each number column in them, a row a cluster."""
    labels = pipeline.predict(frame)
    means = frame.select_dtypes("number").groupby(labels).mean()
    sizes = pd.Series(labels).value_counts().sort_index()
    return means.assign(rows=sizes).reindex(range(pipeline[-1].n_clusters))
