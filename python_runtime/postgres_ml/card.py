"""The model card: what a person wants to know before trusting the function, as Markdown and as one HTML file.

Input: `Fitted`. Output: text. Both forms come from the same sections.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from postgres_ml.results import Fitted, Report

MAX_IMPORTANCES = 15
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#24323d}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse}
td,th{padding:.25rem .9rem .25rem 0;border-bottom:1px solid #e5e9ed;text-align:left;vertical-align:top}
pre{background:#f4f6f8;padding:.8rem;overflow:auto}img{max-width:100%;width:27rem}code{font-size:.92em}
"""


@dataclass(frozen=True)
class Section:
    """A part of the card: a table, a list, or code."""

    title: str
    rows: Sequence[tuple[str, ...]] = ()
    items: Sequence[str] = ()
    code: str = ""


def sections(fitted: Fitted, report: Report) -> list[Section]:
    """Return the card's parts, in order."""
    spec, problem = fitted.job.spec, fitted.task.problem
    names = [n for n in fitted.metrics if n in fitted.train_metrics]
    scores = [(n, number(fitted.metrics[n]), number(fitted.train_metrics[n])) for n in names]
    n_train = len(fitted.rows) - len(fitted.holdout)
    data = [
        ("rows", f"{len(fitted.rows):,}: {n_train:,} to train on, {len(fitted.holdout):,} held out"),
        ("target", f"{spec.target} ({fitted.job.target.sql_type})" if fitted.job.target else "–"),
        ("labels", ", ".join(problem.labels[:20]) or "–"),
    ]
    used = set(fitted.task.columns.numbers) | set(fitted.task.columns.texts)
    columns = [
        (column.name, column.sql_type, "yes" if column.name in used else "no")
        for column in fitted.job.features
    ]
    trials = [
        (t.candidate.name, number(abs(t.score)), number(t.loss), str(t.n_trees or "–"), f"{t.seconds:.1f} s")
        for t in sorted(fitted.choice.trials, key=lambda trial: trial.loss)
        if t.state == "done"
    ]
    parts = [
        Section("What it is", [("", ""), *_identity(fitted)]),
        Section("Scores", [("metric", "hold-out", "training rows"), *scores]),
        Section("Data", [("", ""), *data]),
        Section("Columns", [("column", "type", "used"), *columns]),
    ]
    if trials:
        head = ("candidate", f"{problem.metric}, cross-validated", "loss", "trees", "time")
        parts.append(Section("Candidates", [head, *trials]))
    if fitted.explanation is not None:
        top = [(n, number(v)) for n, v in list(fitted.explanation.importance.items())[:MAX_IMPORTANCES]]
        importances = [("column", f"mean |SHAP value|, {fitted.explanation.unit}"), *top]
        parts.append(Section("What predictions depend on", importances))
    parts += [
        Section("Notes", items=report.messages),
        Section("Training query", code=fitted.job.query.strip()),
    ]
    return parts


def _identity(fitted: Fitted) -> list[tuple[str, str]]:
    spec, problem, choice = fitted.job.spec, fitted.task.problem, fitted.choice
    size = f"{fitted.generated.n_nodes:,} tree nodes" if fitted.generated.n_nodes else "linear"
    settings = ", ".join(f"{k} {v}" for k, v in choice.candidate.parameters.items())
    rows = [
        ("function", f"{spec.schema}.{spec.function} returns {fitted.return_type}"),
        ("problem", f"{problem.type}, chosen by {problem.metric}"),
        ("estimator", f"{choice.candidate.name} ({size}); {choice.reason}"),
        ("hyperparameters", settings or "the library's defaults"),
        ("runtime", f"{fitted.runtime.name}: {fitted.runtime.reason}"),
        ("speed", f"about {float(f'{fitted.generated.est_rows_per_s:.2g}'):,.0f} rows a second on one core"),
        ("dbt model", spec.unique_id),
    ]
    if choice.threshold is not None:
        rows.insert(3, ("threshold", f"{problem.labels[1]} from a probability of {choice.threshold:.4f}"))
    return rows


def number(value: float) -> str:
    """Return five significant digits, without exponent where a person would write none."""
    return f"{value:,.0f}" if abs(value) >= 100_000 else f"{value:.5g}"


def markdown(title: str, parts: Sequence[Section]) -> str:
    """Return the card as Markdown."""
    lines = [f"# {_escape(title)}", ""]
    for part in parts:
        lines += [f"## {part.title}", ""]
        if part.rows:
            head, *rows = part.rows
            lines += [_row(head), "|" + " --- |" * len(head), *map(_row, rows), ""]
        if part.items:
            lines += [*(f"- {_escape(item)}" for item in part.items), ""]
        if part.code:
            fence = "```"
            while fence in part.code:
                fence += "`"
            lines += [f"{fence}sql", part.code, fence, ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escape(cell).replace("|", "\\|") for cell in cells) + " |"


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is; an underscore inside a word means nothing there."""
    plain = html.escape(text, quote=False).replace("\n", " ")
    return re.sub(r"([*`]|(?<!\w)_|_(?!\w))", r"\\\1", plain)


def to_html(title: str, parts: Sequence[Section], images: Sequence[Path]) -> str:
    """Return the card as one HTML file with the pictures inside."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for part in parts:
        body.append(f"<h2>{html.escape(part.title)}</h2>")
        if part.rows:
            head, *rows = part.rows
            cells = [_cells(head, "th") if any(head) else "", *(_cells(row, "td") for row in rows)]
            body.append("<table>" + "".join(f"<tr>{row}</tr>" for row in cells if row) + "</table>")
        if part.items:
            body.append("<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in part.items) + "</ul>")
        if part.code:
            body.append(f"<pre><code>{html.escape(part.code)}</code></pre>")
    for path in images:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        body.append(f'<img alt="{path.stem.replace("_", " ")}" src="data:image/png;base64,{data}">')
    page = "\n".join(body)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style>\n{page}\n</html>\n"
    )


def _cells(row: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
