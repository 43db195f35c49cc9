"""The log of an AUTO build of a minute, read as a user reads it: calm, never silent, and never a flood."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from dbt.tests.util import run_dbt_and_capture
from postgres_ml.embedded import ServerAddress
from support.trainer_project import TrainerProject

pytestmark = pytest.mark.exhaustive

MODEL = """
{{ config(materialized='create_model', target='churn', settings={'max_runtime': 60}, explain=true) }}
with r as (
  select i, p, hashint4(i + p)::float8 / 2147483648 as a, hashint4(i + 1000000)::float8 / 2147483648 as b,
         hashint4(i + 2000000)::float8 / 2147483648 as c
  from generate_series(1, 8000) as i, lateral (select abs(hashint4(i + 3000000)) % 5 as p) as q)
select a as charge, round((30 + 30 * b)::numeric, 1) as tenure, p as plan, 7 as plant,
       case when sin(3 * a) + b + (p = 2)::int + c > 0.4 then 'yes' else 'no' end as churn
from r
"""


@pytest.fixture(scope="module")
def events(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    project = TrainerProject(server, tmp_path_factory.mktemp("calm"), "calm", "ml")
    project.make()
    try:
        for name in ("first", "second"):
            (project.folder / "models" / f"{name}.sql").write_text(MODEL)
        given = project.arguments("--log-format", "json", "run", "--threads", "2", target="admin")
        lines = run_dbt_and_capture(given)[1].splitlines()
        yield [json.loads(line) for line in lines if line.startswith("{")]
    finally:
        project.drop()


def told(events: list[dict[str, Any]], model: str) -> list[tuple[float, str, dict[str, Any]]]:
    """Return when each line about the model was written, the line and its fields."""
    found = []
    for event in events:
        info, args = event["info"], event["data"].get("args") or []
        if info["level"] != "debug" and len(args) == 3 and args[2]["model"] == f"model.calm.{model}":
            found.append((at(event), info["msg"], args[2]))
    return found


def at(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["info"]["ts"].replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("model", ["first", "second"])
def test_lines_of_each_model_are_calm(events: list[dict[str, Any]], model: str) -> None:
    lines = told(events, model)
    end = next(at(e) for e in events if e["info"]["msg"].endswith("s]") and f".{model} " in e["info"]["msg"])
    times = [time for time, _, _ in lines] + [end]
    assert max(after - before for before, after in itertools.pairwise(times)) < 5
    progress = [time for time, _, fields in lines if "seconds_so_far" in fields]
    assert min(after - before for before, after in itertools.pairwise(progress)) >= 1.99
    assert all(f"{model}: " in text for _, text, _ in lines)


def test_a_search_says_where_it_is_in_the_words_of_its_reader(events: list[dict[str, Any]]) -> None:
    lines = [(text, fields) for _, text, fields in told(events, "first") if fields.get("phase") == "search"]
    assert len(lines) > 3
    for text, fields in lines[:-1]:
        assert f"{fields['trials']:.0f} candidate" in text and "best f1 0." in text
        assert fields["best"].startswith(("linear model", "boosted trees", "additive tables", "blend of"))
        assert "about" in text and fields["seconds_left"] < 90
