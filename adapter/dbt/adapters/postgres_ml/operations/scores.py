"""Scores of a classifier from counts of (true label, predicted label)."""

from __future__ import annotations

from collections.abc import Sequence


def classification_scores(
    counts: Sequence[tuple[str, str | None, int]], labels: Sequence[str]
) -> dict[str, float]:
    """Return accuracy, precision, recall, f1 and f1_macro of (true label, predicted label, rows).

    Of two labels, precision, recall and f1 are the second one's; of more, precision and recall are means.
    A row without a prediction counts as wrong. True labels that the model doesn't know are classes too.
    """
    total = sum(n for _, _, n in counts)
    classes = [*labels, *sorted({truth for truth, _, _ in counts} - set(labels))]
    precisions, recalls, f1s = [], [], []
    for label in classes:
        hits = sum(n for truth, predicted, n in counts if truth == predicted == label)
        given = sum(n for truth, _, n in counts if truth == label)
        said = sum(n for _, predicted, n in counts if predicted == label)
        precisions.append(hits / said if said else 0.0)
        recalls.append(hits / given if given else 0.0)
        f1s.append(2 * hits / (given + said) if given + said else 0.0)
    scores = {"accuracy": sum(n for truth, predicted, n in counts if truth == predicted) / total}
    if len(labels) == 2:
        scores |= {"precision": precisions[1], "recall": recalls[1], "f1": f1s[1]}
    else:
        scores |= {"precision": _mean(precisions), "recall": _mean(recalls)}
    return scores | {"f1_macro": _mean(f1s)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
