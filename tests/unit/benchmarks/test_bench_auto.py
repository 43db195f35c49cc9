"""bench_auto.py: which rows are predicted, what is run again, mean ranks and their standard errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import auto_report
import auto_sets
import bench_auto
import numpy as np
import pandas as pd
import pytest

SET = auto_sets.Set("sklearn_wine", "target", auto_sets.MULTI, "load_wine")
OTHER = auto_sets.Set("sklearn_diabetes", "target", auto_sets.NUMBER, "load_diabetes", tuned_on=True)


def _scores(by_set: dict[str, list[list[float]]]) -> pd.DataFrame:
    """Return scores by set and seed, from a list of seeds for each set."""
    rows = {(name, seed): row for name, seeds in by_set.items() for seed, row in enumerate(seeds)}
    index = pd.MultiIndex.from_tuples(list(rows), names=["set", "seed"])
    return pd.DataFrame(list(rows.values()), index=index, columns=["auto", "flaml"])


def test_each_seed_has_other_test_rows_about_a_quarter_of_all() -> None:
    masks = [np.array([auto_sets.is_test(number, seed) for number in range(4000)]) for seed in range(3)]
    for mask in masks:
        assert 0.22 < mask.mean() < 0.28
    assert 0.03 < np.mean(masks[0] & masks[1]) < 0.10
    assert 0.03 < np.mean(masks[1] & masks[2]) < 0.10


def test_a_set_is_prepared_without_its_test_rows_among_the_others(tmp_path: Path) -> None:
    auto_sets.prepare(SET, None, tmp_path, seed=1)
    train, test = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("train", "test"))
    assert len(train) + len(test) == 178
    assert not set(map(tuple, train.to_numpy().tolist())) & set(map(tuple, test.to_numpy().tolist()))
    assert json.loads((tmp_path / "task.json").read_text()) == {"target": "target", "task": auto_sets.MULTI}


def test_a_mean_rank_counts_each_set_once() -> None:
    scores = _scores({"a": [[1, 2], [1, 2], [1, 2]], "b": [[2, 1]]})
    mean, _ = auto_report.mean_ranks(scores)
    assert mean.to_dict() == {"auto": 1.5, "flaml": 1.5}


def test_the_standard_error_is_that_of_a_mean_of_sets() -> None:
    random = np.random.default_rng(7)
    wins = random.random(40) < 0.7
    scores = _scores({f"set {i}": [[1.0, 2.0] if win else [2.0, 1.0]] for i, win in enumerate(wins)})
    mean, error = auto_report.mean_ranks(scores)
    ranks = np.where(wins, 1.0, 2.0)
    assert mean["auto"] == pytest.approx(ranks.mean())
    assert error["auto"] == pytest.approx(ranks.std() / np.sqrt(40), rel=0.1)


def test_systems_that_always_come_in_the_same_order_have_no_error() -> None:
    _, error = auto_report.mean_ranks(_scores({"a": [[1, 2]], "b": [[3, 4], [5, 9]]}))
    assert error.to_dict() == {"auto": 0.0, "flaml": 0.0}


def test_equal_scores_share_a_rank() -> None:
    mean, _ = auto_report.mean_ranks(_scores({"a": [[1, 1]]}))
    assert mean.to_dict() == {"auto": 1.5, "flaml": 1.5}


def test_a_seed_without_every_score_is_left_out_of_ranks() -> None:
    found = {
        ("a", "auto", 0): {"score": 1.0},
        ("a", "flaml", 0): {"error": "it failed"},
        ("a", "auto", 1): {"score": 1.0},
        ("a", "flaml", 1): {"score": 3.0},
        ("b", "auto", 0): {"score": 1.0},
    }
    scores = auto_report.whole_scores(["a", "b"], ["auto", "flaml"], found)
    assert scores.index.tolist() == [("a", 1)]
    assert auto_report.whole_scores(["b"], ["auto", "flaml"], found).empty


def _found(score: float, **more: Any) -> dict[str, Any]:
    about = {"n_nodes": 10, "training_seconds": 4.0, "chosen": "xgboost r89", "seconds": 5.0}
    return {"score": score, **about, **more}


def test_the_table_has_means_of_seeds_versions_and_the_speed_of_sql() -> None:
    found = {
        ("sklearn_wine", "auto", 0): _found(0.1),
        ("sklearn_wine", "auto", 1): _found(0.3),
        ("sklearn_wine", "auto_sql", 0): _found(0.25, sql_rows_per_s=270_000, sql_estimate=300_000),
        ("sklearn_wine", "flaml", 0): {"score": 0.5, "seconds": 61.0, "version": "2.8.0"},
        ("sklearn_wine", "flaml", 1): {"score": 0.7, "seconds": 63.0, "version": "2.8.0"},
        ("sklearn_diabetes", "auto", 0): {"error": "it failed"},
    }
    text = auto_report.table([SET, OTHER], found, 60)
    lines = text.splitlines()
    assert "means of 2 seeds" in lines[0]
    assert lines[2].startswith("| set | auto | auto, runtime sql | FLAML 2.8.0 |")
    speed = "270,000 (300,000), xgboost r89"
    assert f"| sklearn_wine* | **0.2000** | 0.2500 | 0.6000 | {speed} | 10, 4 s, xgboost r89 |" in lines
    assert "| sklearn_diabetes | – | – | – | – |  |" in lines
    assert "| mean rank, held out* (1) | 1.00 ± 0.00 |  | 2.00 ± 0.00 |  | |" in lines
    assert "| median loss beside auto's, all | +0.0 % | +150.0 % | +200.0 % |  | |" in lines, (
        "where both have a score"
    )
    assert "| mean seconds | 5 | 5 | 62 |  | |" in lines
    widths = {line.count("|") for line in lines[2:]}
    assert len(widths) == 1


def test_only_what_has_no_result_yet_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--results", str(tmp_path), "--systems", "auto,linear", "--seeds", "2"]
    options = bench_auto.arguments(given)
    ran: list[tuple[str, int]] = []

    def run(system: str, folder: Path, seed: int, options: Any) -> dict[str, Any]:
        assert (folder / "test.parquet").exists()
        ran.append((system, seed))
        return {"score": 1.0 + seed}

    monkeypatch.setattr(bench_auto, "run", run)
    bench_auto.result_file(SET, "auto", 1, options).write_text('{"score": 9.0}')
    for seed in range(2):
        bench_auto.run_missing(SET, seed, options)
    assert ran == [("auto", 0), ("linear", 0), ("linear", 1)]
    ran.clear()
    bench_auto.run_missing(SET, 0, options)
    assert ran == []
    bench_auto.run_missing(SET, 0, bench_auto.arguments([*given, "--again"]))
    assert ran == [("auto", 0), ("linear", 0)]
    found = bench_auto.stored([SET], options)
    assert {key: about["score"] for key, about in found.items()} == {
        ("sklearn_wine", "auto", 0): 1.0,
        ("sklearn_wine", "auto", 1): 9.0,
        ("sklearn_wine", "linear", 0): 1.0,
        ("sklearn_wine", "linear", 1): 2.0,
    }
    assert not list(tmp_path.glob("*.part"))


def test_each_system_has_the_interpreter_of_its_own_environment(tmp_path: Path) -> None:
    options = bench_auto.arguments(["--autogluon-venv", str(tmp_path)])
    assert options.autogluon_venv == tmp_path
    assert options.flaml_venv != options.autogluon_venv
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/sh\necho '{\"score\": 2.5}'\n")
    python.chmod(0o755)
    assert bench_auto.run("autogluon", tmp_path, 0, options) == {"score": 2.5}
    python.write_text("#!/bin/sh\necho 'no rows' >&2\nexit 1\n")
    assert bench_auto.run("autogluon", tmp_path, 0, options) == {"error": "no rows"}


@pytest.mark.parametrize("given", [["--seeds", "0"], ["--systems", "h2o"], ["--sets", "mnist"]])
def test_what_makes_no_sense_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_auto.arguments(given)
    assert "error:" in capsys.readouterr().err
