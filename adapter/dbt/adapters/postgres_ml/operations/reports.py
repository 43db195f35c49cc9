"""The texts that operations print: aligned columns, scores, a confusion matrix, an explanation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dbt.adapters.postgres_ml.operations.find import check_columns
from dbt.adapters.postgres_ml.operations.scores import classification_scores

BAR_WIDTH = 30
MAX_MATRIX_CLASSES = 20


def aligned(rows: Sequence[Sequence[Any]], right: Sequence[int] = ()) -> str:
    """Return rows as text in columns; further lines of the last column stand below its first.

    Parameters
    ----------
    right : columns aligned to the right
    """
    cells = [["" if cell is None else str(cell).rstrip() for cell in row] for row in rows]
    if not cells:
        return ""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    indent = " " * (sum(widths) + 2 * len(widths))
    last_width = max(len(row[-1]) for row in cells) if len(cells[0]) - 1 in right else 0
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        last = row[-1].rjust(last_width).replace("\n", "\n" + indent)
        lines.append("  ".join([*padded, last]).rstrip())
    return "\n".join(lines)


def explanation_text(model: str, document: str) -> str:
    """Return EXPLAIN_MODEL's JSON as a table with bars, one for each label."""
    explanation = json.loads(document)
    sets = explanation["explanations"]
    if isinstance(sets, str):
        return f"{model}: explanation {sets}"
    exact = "exact" if explanation["method"] in ("tree_shap", "linear_shap", "additive_shap") else "sampled"
    parts = [
        f"{model}: mean |SHAP value| of {explanation['rows']} rows, in {explanation['unit']} "
        f"({explanation['method']}, {exact})"
    ]
    for key, found in sets["kernel_shap"].items():
        values = sorted(found["global_shap_values"].items(), key=lambda item: -item[1])
        largest = max((value for _, value in values), default=0.0) or 1.0
        label = explanation["labels"].get(key)
        head = f"{key}: {label!r}, " if label is not None else ""
        rows = [
            (name, short(value), "█" * round(BAR_WIDTH * value / largest) if value else "")
            for name, value in values
        ]
        parts.append(f"\n{head}expected value {short(found['expected_value'])}\n{aligned(rows, right=(1,))}")
    return "\n".join(parts)


def classification_text(
    model: str,
    relation: str,
    counts: Sequence[tuple[str, str | None, int]],
    labels: Sequence[str],
    ranks: Mapping[str, float | None],
) -> str:
    """Return the report of `evaluate_model` for a classifier.

    Parameters
    ----------
    counts : (true label, predicted label, rows)
    ranks : auc and log_loss, where the model knows probabilities
    """
    counts = [(truth, predicted, int(n)) for truth, predicted, n in counts]
    if not counts:
        return f"{model} on {relation}: no row has a target"
    scores: dict[str, Any] = {**classification_scores(counts, labels)}
    scores |= {name: ranks[name] for name in ("auc", "log_loss") if name in ranks}
    n_missing = sum(n for _, predicted, n in counts if predicted is None)
    head = _head(model, relation, sum(n for _, _, n in counts), n_missing)
    return f"{head}\n\n{_score_lines(scores)}\n\n{confusion_text(counts, labels)}"


def regression_text(model: str, relation: str, row: Mapping[str, Any]) -> str:
    """Return the report of `evaluate_model` for a regression."""
    if not row["n_rows"]:
        return f"{model} on {relation}: no row has a target"
    head = _head(model, relation, int(row["n_rows"]), int(row["n_missing"]))
    return f"{head}\n\n{_score_lines({name: row[name] for name in ('mse', 'rmse', 'mae', 'r2')})}"


def _head(model: str, relation: str, n_rows: int, n_missing: int) -> str:
    missing = f", {n_missing:,} of them without a prediction" if n_missing else ""
    return f"{model} on {n_rows:,} rows of {relation}{missing}"


def _score_lines(scores: Mapping[str, Any]) -> str:
    rows = [(name, "–" if value is None else short(float(value))) for name, value in scores.items()]
    return aligned(rows)


def confusion_text(counts: Sequence[tuple[str, str | None, int]], labels: Sequence[str]) -> str:
    """Return the confusion matrix as text, true labels down, predicted ones across."""
    predicted = [*labels, *([None] if any(p is None for _, p, _ in counts) else [])]
    truths = [*labels, *sorted({truth for truth, _, _ in counts} - set(labels))]
    if len(truths) > MAX_MATRIX_CLASSES:
        return f"confusion matrix: {len(truths)} classes are too many to show"
    cells = {(truth, said): n for truth, said, n in counts}
    head = ["true \\ predicted", *("no prediction" if p is None else p for p in predicted)]
    rows = [[truth, *(f"{cells.get((truth, said), 0):,}" for said in predicted)] for truth in truths]
    return aligned([head, *rows], right=range(1, len(head)))


def short(value: float) -> str:
    """Return four significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100_000 else f"{value:.4g}"


TEXTS: dict[str, Callable[..., str]] = {
    "aligned": aligned,
    "explanation": explanation_text,
    "classification": classification_text,
    "regression": regression_text,
    "check_columns": check_columns,
}
