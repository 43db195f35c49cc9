"""What `dbt run-operation` macros need of Python: which model a name means, metrics, aligned text."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dbt_common.exceptions import CompilationError

BAR_WIDTH = 30
MAX_MATRIX_CLASSES = 20


def find_model(name: str, nodes: Iterable[Any], published: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the schema and identifier of the model that `name` means.

    Parameters
    ----------
    name : a create_model node's name, or 'schema.name' as in the catalog
    nodes : the project's create_model nodes
    published : (schema, name) of the models in the catalog

    Raises
    ------
    CompilationError
        No model, or several, or one that was never built; with the likely name.
    """
    schema, _, identifier = name.rpartition(".")
    if schema:
        schema, identifier = schema.strip('"'), identifier.strip('"')
        if (schema, identifier) in published:
            return {"schema": schema, "identifier": identifier}
    nodes = list(nodes)
    for node in nodes:
        if node.name == name:
            if (node.schema, node.alias) in published:
                return {"schema": node.schema, "identifier": node.alias}
            raise CompilationError(
                f"{name} is not built in schema {node.schema} yet: dbt build --select {name}"
            )
    found = [pair for pair in published if pair[1] == name]
    if len(found) == 1:
        return {"schema": found[0][0], "identifier": name}
    if found:
        options = " or ".join(f"{schema}.{name}" for schema, _ in found)
        raise CompilationError(f"several schemas have a model {name}: say {options}")
    known = sorted({node.name for node in nodes} | {f"{schema}.{model}" for schema, model in published})
    raise CompilationError(f"there is no model {name!r}{likely(name, known)}")


def likely(name: str, known: Sequence[str]) -> str:
    """Return '; did you mean …?' or the names that there are."""
    close = difflib.get_close_matches(name, known, 1) or difflib.get_close_matches(
        name.rpartition(".")[2], [item.rpartition(".")[2] for item in known], 1
    )
    if close:
        full = next(item for item in known if item == close[0] or item.endswith("." + close[0]))
        return f"; did you mean {full!r}?"
    return f"; there are: {', '.join(known)}" if known else "; none is built yet"


def find_relation(name: str, nodes: Iterable[Any]) -> str:
    """Return the name of a model, seed or snapshot of the project, or the text 'schema.table' itself.

    Raises
    ------
    CompilationError
        The name has no dot and the project has no such relation.
    """
    relations = {node.name: node.relation_name for node in nodes if getattr(node, "relation_name", None)}
    if name in relations:
        return str(relations[name])
    if "." in name:
        return name
    raise CompilationError(f"there is no relation {name!r} in this project{likely(name, sorted(relations))}")


def check_columns(relation: str, needed: Sequence[str], found: Sequence[str]) -> str:
    """Return an empty text if the relation has all columns.

    Raises
    ------
    CompilationError
        The relation does not exist, or columns are missing; with likely names.
    """
    if not found:
        raise CompilationError(f"{relation} does not exist")
    missing = [f"{name!r}{likely(name, found)}" for name in needed if name not in found]
    if missing:
        raise CompilationError(f"{relation} lacks columns that the model needs: {'; '.join(missing)}")
    return ""


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
    exact = "sampled" if explanation["method"] == "kernel_shap" else "exact"
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


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


TEXTS: dict[str, Callable[..., str]] = {
    "aligned": aligned,
    "explanation": explanation_text,
    "classification": classification_text,
    "regression": regression_text,
    "check_columns": check_columns,
}
