"""The tables of the config's pages, written from the config table.

Run `python -m dbt.adapters.postgres_ml.config.document docs/configuration.md` (or `make docs-tables`) after
changing `keys`. What stands between `<!-- table: NAME -->` and `<!-- end of table -->` is replaced.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from dbt.adapters.postgres_ml.config import dbt_keys, keys
from dbt.adapters.postgres_ml.config.external import SOURCE_FORMS
from dbt.adapters.postgres_ml.config.holdout import FORMS as HOLDOUT_FORMS
from dbt.adapters.postgres_ml.config.hyperparameters import allowed, rows
from dbt.adapters.postgres_ml.config.kinds import capitalized, listed
from dbt.adapters.postgres_ml.config.lifecycle import (
    GATE_FORMS,
    RETRAIN,
    RETRAIN_AFTER,
)
from dbt.adapters.postgres_ml.config.objectives import XGBOOST_OBJECTIVES
from dbt.adapters.postgres_ml.config.preprocessors import COLUMN_SET, TRANSFORMER_TABLE
from dbt.adapters.postgres_ml.config.section import Key, Section, spelled

from postgres_ml.evaluate.gates import METRICS_BY_PROBLEM
from postgres_ml.fit import hyperparameters

REGION = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
NONE = "–"


def filled(page: str) -> str:
    """Return the page with its tables as the config table has them.

    Raises
    ------
    KeyError
        The page asks for a table that doesn't exist.
    """
    written = tables()
    return REGION.sub(lambda found: f"{found[1]}{written[found['name']]}\n{found[3]}", page)


def tables() -> dict[str, str]:
    """Return each table in Markdown, by the name that a page's comments give it."""
    retrain = {**RETRAIN, "{after: '7 days'}": RETRAIN_AFTER}
    return {
        "config": key_table(keys.MODEL, "key"),
        "dbt": key_table(dbt_keys.DBT, "key"),
        "settings": key_table(keys.SETTINGS, "setting"),
        "redshift_settings": listed(keys.REDSHIFT_SETTINGS),
        "holdout": form_table("`holdout`", "rows held out", HOLDOUT_FORMS),
        "gates": form_table("`gates`", "meaning", GATE_FORMS),
        "metrics": table(
            ("problem type", "metrics"),
            ((name, listed(metrics)) for name, metrics in METRICS_BY_PROBLEM.items()),
        ),
        "retrain": form_table("`retrain`", "the model is trained", retrain),
        "source": form_table("`source`", "what it names", SOURCE_FORMS),
        "endpoint": key_table(keys.ENDPOINT, "key"),
        "objectives": table(
            ("objective", "target", "the function returns"),
            ((f"`{name}`", row.target, row.returns) for name, row in XGBOOST_OBJECTIVES.items()),
        ),
        "column_set": key_table(COLUMN_SET, "key"),
        "transformers": table(
            ("transformer", "takes", "gives", "may be followed by"),
            ((f"`{name}`", row.takes, row.gives, row.followed_by) for name, row in TRANSFORMER_TABLE.items()),
        ),
        **{model_type: hyperparameter_table(model_type) for model_type in hyperparameters.KNOWN},
        "profile": key_table(dbt_keys.PROFILE, "key"),
    }


def key_table(section: Section, title: str) -> str:
    """Return the table of a section's keys; Redshift's clause has a column if any key has one."""
    has_clauses = any(key.redshift for key in section.keys)
    head = (title, "values", "default", *(["Redshift"] if has_clauses else []), "meaning")
    body = (
        (
            f"`{key.name}`",
            key.values or key.kind.words,
            _default(key),
            *([key.redshift or NONE] if has_clauses else []),
            _meaning(key),
        )
        for key in section.keys
    )
    return table(head, body)


def hyperparameter_table(model_type: str) -> str:
    """Return the table of a model type's hyperparameters, synonyms in one row."""
    known = rows(model_type)
    has_ranges = any(parameter.redshift for _, parameter in known)
    head = ("hyperparameter", "values", *(["Redshift's range"] if has_ranges else []))
    return table(
        head,
        (
            (
                names,
                allowed(parameter),
                *([_range(parameter.redshift)] if has_ranges else []),
            )
            for names, parameter in known
        ),
    )


def form_table(title: str, meaning: str, forms: dict[str, str]) -> str:
    """Return the table of the forms that one key's value can have."""
    return table((title, meaning), ((f"`{form}`", text) for form, text in forms.items()))


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("|" + "|".join(_cell(cell) for cell in line) + "|" for line in lines)


def _cell(text: str) -> str:
    return text if text == "---" else f" {text.replace('|', chr(92) + '|')} "


def _default(key: Key) -> str:
    if key.is_required:
        return "required"
    return key.default_words or (NONE if key.default is None else f"`{spelled(key.default)}`")


def _meaning(key: Key) -> str:
    link = ""
    if key.see:
        page = key.see.partition("#")[0]
        link = f"See [{page or 'below'}]({key.see})."
    return " ".join(part for part in (f"{capitalized(key.meaning)}.", key.details, link) if part)


def _range(limits: tuple[float, float] | None) -> str:
    return NONE if limits is None else f"{limits[0]:g} to {limits[1]:g}"


def main(paths: Sequence[str]) -> None:
    """Rewrite the tables of the pages."""
    for path in map(Path, paths):
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
