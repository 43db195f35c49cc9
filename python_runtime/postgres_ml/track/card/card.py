"""The model card: what a person wants to know before trusting the function.

Input: `Fitted`, the report, the plots. Output: sections, which `card_pages` turns into Markdown and HTML.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from postgres_ml.contract.model import registered_name
from postgres_ml.contract.sql_names import readable_identifier as readable
from postgres_ml.evaluate.clusters import profile
from postgres_ml.process.report import Report
from postgres_ml.publish.fitted import Fitted
from postgres_ml.track.card.anomalies import most_unusual
from postgres_ml.track.card.intervals import interval_section
from postgres_ml.track.card.pages import Section
from postgres_ml.track.card.readings import meaning, number, reading
from postgres_ml.track.card.scorecard import scorecard_section
from postgres_ml.track.card.words import telling_terms

MAX_IMPORTANCES = 15
MAX_TRIALS = 30
MAX_MEANS = 8
MAX_LABELS = 20
LINE = 84  # characters of SQL that a card shows without scrolling
ROLES_SHOWN = ("probabilities", "distances", "is_anomaly", "interval")  # beside the prediction
CALLED_WITH_ROW = 100  # more features come as one argument of a composite type
CAPTIONS = {
    "predicted_vs_actual": "Each point is a row; on the line, the prediction is exact.",
    "residuals": "Errors should scatter evenly around 0, whatever is predicted.",
    "confusion_matrix": "Rows are true labels, columns are predicted ones; the diagonal is correct.",
    "roc": "The closer the curve is to the upper left corner, the better the labels are separated.",
    "precision_recall": "How often the label is right (precision) as more of its rows are found (recall).",
    "calibration": "On the dashed line, a predicted probability of 0.7 is right in 7 of 10 rows.",
    "feature_importance": "How much each column moves the prediction, on average over rows.",
    "search_history": "Each point is a candidate; the line is the best so far. A cross was dropped after "
    "the first fold, so its loss can't be compared with the others.",
    "anomaly_scores": "The further right, the more unusual; right of a dashed line are anomalies.",
    "terms": "Steps are of numbers, bars of categories, the dot is of missing values; 0 is the average row.",
    "pairs": "What the two columns together add to what each adds by itself; red is more, blue is less.",
    "clusters": "Rows along the two directions in which they vary most (principal components).",
}


def title(fitted: Fitted) -> str:
    """Return the card's heading."""
    return f"{fitted.job.spec.schema}.{fitted.job.spec.name}"


def lead(fitted: Fitted) -> str:
    """Return one line under it: what is predicted from what, and how well."""
    problem, columns = fitted.task.problem, _count(len(fitted.job.features), "column")
    score = f"{problem.metric} {number(fitted.evaluation.score)} on the hold-out"
    if problem.is_anomaly_detection:
        return f"Scores how unusual a row is by {columns}; {score}."
    if fitted.job.target is None:
        return f"Groups rows by {columns}; {score}."
    kind = problem.type.replace("_", " ")
    return f"Predicts {fitted.job.target.name} from {columns} ({kind}); {score}."


def sections(fitted: Fitted, report: Report, images: Sequence[Path], run_id: str) -> list[Section]:
    """Return the card's parts, in order.

    Parameters
    ----------
    images : the plots' files
    run_id : the MLflow run
    """
    pictures = {path.stem: (path, CAPTIONS[path.stem]) for path in images}
    curves = [pictures[name] for name in ("terms", "pairs") if name in pictures]
    elsewhere = ("feature_importance", "search_history", "terms", "pairs")
    good = [pictures[name] for name in pictures if name not in elsewhere]
    parts = [
        Section("How good it is", texts=reading(fitted), rows=_scores(fitted), images=good),
        Section("How to call it", texts=_call_texts(fitted), codes=_calls(fitted)),
    ]
    if fitted.task.problem.is_clustering:
        parts.append(Section("What is in the clusters", rows=_clusters(fitted)))
    if fitted.task.problem.is_anomaly_detection:
        parts.append(Section("The most unusual rows", rows=most_unusual(fitted)))
    if fitted.interval is not None:
        parts.append(interval_section(fitted))
    if fitted.scorecard is not None:
        parts.append(scorecard_section(fitted, curves))
    if terms := telling_terms(fitted):
        parts.append(Section("The most telling words", rows=terms))
    if fitted.explanation is not None:
        shown = [pictures["feature_importance"]]
        texts, rows = _explained(fitted), _importances(fitted)
        parts.append(Section("What predictions depend on", texts, rows, images=shown))
    parts.append(Section("What it learned from", rows=_data(fitted)))
    is_long = len(fitted.job.features) > MAX_IMPORTANCES
    parts.append(Section("Columns", rows=_columns(fitted), is_folded=is_long))
    history = [pictures[name] for name in ("search_history",) if name in pictures]
    parts.append(Section("How it was chosen", texts=[_chosen(fitted)], rows=_trials(fitted), images=history))
    parts.append(Section("Notes and warnings", items=report.messages or ["none"]))
    parts.append(Section("Model", rows=[("", ""), *_identity(fitted)]))
    parts.append(Section("Where it comes from", rows=[("", ""), *_origin(fitted, report, run_id)]))
    query = [("sql", fitted.job.query.strip())]
    parts.append(Section("Training query", codes=query, is_folded=True))
    return parts


def _scores(fitted: Fitted) -> list[tuple[str, ...]]:
    names = sorted(fitted.evaluation.metrics, key=lambda name: (name != fitted.task.problem.metric, name))
    rows = [
        (
            name,
            number(fitted.evaluation.metrics[name]),
            number(fitted.evaluation.train_metrics.get(name, np.nan)),
            meaning(name),
        )
        for name in names
    ]
    return [("metric", "hold-out", "training rows", "what it says"), *rows]


def _call_texts(fitted: Fitted) -> list[str]:
    features = len(fitted.job.features)
    texts = [f"Returns {fitted.return_type}. Any argument may be NULL; no value makes the function fail."]
    if features > CALLED_WITH_ROW:
        texts.append(
            f"It has {features:,} features, more than a Postgres function may take, so "
            "predict() passes them as one row."
        )
    return texts


def _calls(fitted: Fitted) -> list[tuple[str, str]]:
    spec = fitted.job.spec
    features = [f"t.{readable(column.name)}" for column in fitted.job.features]
    names = ", ".join(features)
    if len(names) > LINE:
        names = "\n        " + ",\n        ".join(_lines(features)) + "\n    "
    if len(fitted.job.features) > CALLED_WITH_ROW:
        names = f"row({names})::{readable(spec.schema)}.{readable(spec.function + '_features')}"
    function = f"{readable(spec.schema)}.{readable(spec.function)}"
    name = "anomaly_score" if fitted.task.problem.is_anomaly_detection else "cluster"
    if fitted.job.target is not None:
        name = readable(f"predicted_{fitted.job.target.name}")
    calls = [f"    {function}({names}) as {name}"]
    prefix = f"{readable(spec.schema)}."
    more: dict[str, str] = {
        body.role: f"{prefix}{readable(body.name)}({names})" for body in fitted.generated.functions
    }
    calls += [f"    {more[role]} as {role}" for role in ROLES_SHOWN if role in more]
    sql = "select\n    t.*,\n" + ",\n".join(calls) + "\nfrom your_table as t"
    call = f"{{{{ predict({spec.reference}, alias='t') }}}}"
    dbt = f"select t.*, {call} as {name}\nfrom {{{{ ref('your_model') }}}} as t"
    registered = registered_name(spec.schema, spec.name)
    python = f'mlflow.pyfunc.load_model("models:/{registered}@champion").predict(frame)'
    codes = [("sql", sql), ("sql", dbt), ("python", python)]
    if fitted.scorecard is not None:
        codes.append(("sql", f"select * from {prefix}{readable(spec.function + '_scorecard')}()"))
    if "explain" in more:
        codes.append(("sql", f"select\n    {more['explain']} as explanation\nfrom your_table as t\nlimit 10"))
    return codes


def _lines(items: Sequence[str]) -> list[str]:
    """Return the items joined to lines of at most LINE characters."""
    lines = [items[0]]
    for item in items[1:]:
        if len(lines[-1]) + len(item) > LINE:
            lines.append(item)
        else:
            lines[-1] += f", {item}"
    return lines


def _clusters(fitted: Fitted) -> list[tuple[str, ...]]:
    found = profile(fitted.pipeline, fitted.rows.frame)
    names = [name for name in found.columns if name != "rows"][:MAX_MEANS]
    means = [[number(value) for value in values] for values in found[names].to_numpy().tolist()]
    sizes = found["rows"].fillna(0).astype(int).tolist()
    rows = [(str(k), f"{n:,}", *row) for k, (n, row) in enumerate(zip(sizes, means, strict=True))]
    return [("cluster", "rows", *(f"mean {name}" for name in names)), *rows]


def _explained(fitted: Fitted) -> list[str]:
    explanation = fitted.explanation
    assert explanation is not None
    how = {
        "tree_shap": "exact SHAP values of the trees",
        "linear_shap": "exact SHAP values of the linear model",
        "additive_shap": "exact SHAP values of the tables",
        "permutation_shap": "SHAP values by sampling",
    }[explanation.method]
    unused = [name for name, value in explanation.importance.items() if value == 0]
    texts = [
        f"A SHAP value is what a column adds to one row's prediction, here in {explanation.unit}. Shown is "
        f"its mean size over {explanation.values.shape[1]:,} rows: {how}. It shows what the model uses, not "
        f"what causes {'an anomaly' if fitted.task.problem.is_anomaly_detection else 'the target'}."
    ]
    if unused:
        texts.append(f"Not used by the model: {', '.join(unused[:MAX_LABELS])}.")
    return texts


def _importances(fitted: Fitted) -> list[tuple[str, ...]]:
    assert fitted.explanation is not None
    values = fitted.explanation.importance
    total = sum(values.values()) or 1.0
    top = list(values.items())[:MAX_IMPORTANCES]
    rows = [(name, number(value), f"{value / total:.0%}") for name, value in top]
    return [("column", "mean |SHAP value|", "share"), *rows]


def _data(fitted: Fitted) -> list[tuple[str, ...]]:
    problem = fitted.task.problem
    n_train = fitted.n_rows - fitted.n_holdout
    split = f"{fitted.n_rows:,}: {n_train:,} to train on, {fitted.n_holdout:,} held out"
    rows: list[tuple[str, ...]] = [("", ""), ("rows", split)]
    if fitted.job.target is not None:
        rows.append(("target", f"{fitted.job.target.name} ({fitted.job.target.sql_type})"))
    if fitted.rows.weight is not None:
        low, high = fitted.rows.weight.min(), fitted.rows.weight.max()
        rows.append(("weight", f"{fitted.task.spec.weight}, from {number(low)} to {number(high)}"))
    if problem.is_classification:
        counts = np.bincount(problem.encode(fitted.rows.target), minlength=len(problem.classes))
        order = np.argsort(-counts, kind="stable")
        labels = [f"{problem.labels[k]} ({counts[k] / len(fitted.rows):.1%})" for k in order[:MAX_LABELS]]
        more = f" and {len(order) - MAX_LABELS} more" if len(order) > MAX_LABELS else ""
        rows.append(("labels", ", ".join(labels) + more))
    elif problem.is_regression:
        low, middle, high = np.quantile(fitted.rows.target.astype(np.float64), [0, 0.5, 1])
        rows.append(("range of the target", f"{number(low)} to {number(high)}, median {number(middle)}"))
    rows.append(("digest of the rows", fitted.rows.digest))
    return rows


def _columns(fitted: Fitted) -> list[tuple[str, ...]]:
    used = {*fitted.task.columns.numbers, *fitted.task.columns.texts, *fitted.task.columns.words}
    rows = []
    for column in fitted.job.features:
        values = fitted.rows.frame[column.name]
        missing = float(values.isna().mean())
        yes = "yes" if column.name in used else "no"
        rows.append((column.name, column.sql_type, yes, f"{missing:.1%}", f"{values.nunique():,}"))
    return [("column", "type", "used", "missing", "distinct values"), *rows]


def _chosen(fitted: Fitted) -> str:
    choice = fitted.choice
    return f"{choice.candidate.name}: {choice.reason}."


def _trials(fitted: Fitted) -> list[tuple[str, ...]]:
    done = [trial for trial in fitted.choice.trials if trial.state == "done"]
    trials = sorted(done, key=lambda trial: trial.loss)[:MAX_TRIALS]
    if not trials:
        return []
    rows = [
        (t.candidate.name, number(abs(t.score)), number(t.loss), str(t.n_trees or "–"), f"{t.seconds:.1f} s")
        for t in trials
    ]
    return [("candidate", fitted.task.problem.metric, "loss", "trees or epochs", "time"), *rows]


def _identity(fitted: Fitted) -> list[tuple[str, str]]:
    spec, problem, choice = fitted.job.spec, fitted.task.problem, fitted.choice
    own_rows = ("threshold", "class_multipliers")
    settings = _listed({k: v for k, v in fitted.hyperparameters.items() if k not in own_rows})
    nodes = f", {fitted.generated.n_nodes:,} tree nodes" if fitted.generated.n_nodes else ""
    rows = [
        ("function", f"{spec.schema}.{spec.function} returns {fitted.return_type}"),
        ("problem", f"{problem.type}, chosen by {problem.metric}"),
        ("estimator", f"{choice.candidate.name} ({choice.candidate.model_type}{nodes})"),
        ("hyperparameters", settings or "the library's defaults"),
        ("runtime", f"{fitted.deployment.runtime.name}: {fitted.deployment.runtime.reason}"),
        ("speed", f"about {float(f'{fitted.generated.est_rows_per_s:.2g}'):,.0f} rows a second on one core"),
    ]
    if choice.threshold is not None:
        rows.insert(3, ("threshold", f"{problem.labels[1]} from a probability of {choice.threshold:.4f}"))
    if choice.class_multipliers:
        multipliers = _listed(fitted.hyperparameters["class_multipliers"])
        rows.insert(3, ("label", f"greatest product of probability and multiplier: {multipliers}"))
    return rows


def _listed(values: dict[str, Any]) -> str:
    """Return 'a 1, b 2', and of a blend's members 'name (a 1, b 2)'."""
    return ", ".join(
        f"{name} ({_listed(value)})" if isinstance(value, dict) else f"{name} {value}"
        for name, value in values.items()
        if value is not None
    )


def _origin(fitted: Fitted, report: Report, run_id: str) -> list[tuple[str, str]]:
    tags = {name.replace("_", " "): value for name, value in sorted(fitted.job.tags.items())}
    libraries = ("scikit-learn", "xgboost", "xgboost-cpu", "numpy", "mlflow")
    seconds = ", ".join(f"{name} {duration:.1f}" for name, duration in report.seconds.items())
    return [
        ("MLflow run", run_id or "begun later"),
        *tags.items(),
        ("libraries", ", ".join(filter(None, map(_version, libraries)))),
        ("seconds", seconds),
    ]


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"
