"""What a row of a logistic regression in SQL takes, part by part, and how much of it is Postgres alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HEADER = "| statement | µs a row | library's µs / these |\n|---|---|---|"


def statements(estimator: Any, numbers: list[str], texts: list[str], call: str) -> dict[str, str]:
    """Return expressions, each doing more of what the function does than the one before.

    Parameters
    ----------
    estimator : the fitted pipeline: imputed and scaled numbers, one-hot texts, LogisticRegression
    numbers, texts : its columns
    call : of the function
    """
    imputer, scaler = (step for _, step in estimator[0].named_transformers_["numbers"].steps)
    weights = estimator[-1].coef_[0]
    columns = list(zip(numbers, scaler.mean_, scaler.scale_, imputer.statistics_, weights, strict=False))
    products = [f"{name}*'{weight}'" for name, *_, weight in columns]
    exact = [
        f"coalesce((({name}-'{mean}')/'{scale}'),'{(median - mean) / scale}')*'{weight}'"
        for name, mean, scale, median, weight in columns
    ]
    guard = " or ".join(f"abs({name})>'1e37'" for name in numbers)
    first = [f"case when {name} collate \"C\"='région-0' then '0.25' else '0'::float8 end" for name in texts]
    return {
        "all columns are read, a number is written": f"({texts[-1]} is null)::integer",
        "and the products of ten numbers are summed, NULL is not handled": _label(products),
        "they are scaled and rounded as scikit-learn does, NULL is imputed": _label(exact),
        "numbers beyond 1e37 go another way": f"case when {guard} then null else {_label(exact)} end",
        "each text is compared with one category": (
            f"case when {guard} then null else {_label([*exact, *first])} end"
        ),
        "the function: each text is found among 4, 12, 30 categories": call,
    }


def table(parts: dict[str, str], seconds_of: Callable[[str], float], library_s: float) -> list[str]:
    """Return the table's lines.

    Parameters
    ----------
    seconds_of : the processor time a row of writing an expression of each row
    library_s : the library's a row
    """
    lines = [HEADER]
    for name, expression in parts.items():
        taken = seconds_of(expression)
        lines.append(f"| {name} | {taken * 1e6:.3f} | {library_s / taken:.2f} |")
    return lines


def _label(terms: list[str]) -> str:
    return f"case when {'+'.join(terms)}>'0' then 1 else 0 end"
