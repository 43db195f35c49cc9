from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from postgres_ml.snapshot.file import BLOCK_BYTES
from postgres_ml.snapshot.reader import SnapshotFormatError
from postgres_ml.snapshot.rows import FEW_DISTINCT_ROWS, TrainingRows, fold_numbers, holdout_mask, load
from support.training import CHURN_COLUMNS, CHURN_TARGET, churn_rows, column, write_snapshot

TEXT_COLUMNS = (column("number"), column("flag", "boolean"), column("word", "text"))


def load_churn(path: Path, rows: list, seed: int = 0) -> TrainingRows:
    write_snapshot(path, rows)
    return load(path, CHURN_COLUMNS, CHURN_TARGET, seed)


def as_set(rows: TrainingRows) -> set:
    cells = [[None if v != v else v for v in rows.frame[name].tolist()] for name in rows.frame]
    return set(zip(*cells, rows.target.tolist(), strict=True))


def test_null_empty_text_nan_and_infinity_stay_apart(tmp_path: Path) -> None:
    given = [
        (1.5, True, "", "a"),
        (None, False, None, "b"),
        ("NaN", None, "NaN", "c"),
        ("Infinity", None, 'q"uo,te', "d"),
        ("-Infinity", True, "two\nlines", "e"),
        (0.1 + 0.2, True, "null", "f"),
    ]
    path = tmp_path / "snapshot.bin"
    write_snapshot(
        path,
        [tuple(v if i != 0 or not isinstance(v, str) else float(v) for i, v in enumerate(r)) for r in given],
    )
    rows = load(path, TEXT_COLUMNS, CHURN_TARGET)
    at = {label: i for i, label in enumerate(rows.target.tolist())}
    number, flag, word = (rows.frame[name].tolist() for name in ("number", "flag", "word"))
    assert (
        word[at["a"]] == "" and word[at["b"]] is None and word[at["c"]] == "NaN" and word[at["f"]] == "null"
    )
    assert word[at["d"]] == 'q"uo,te' and word[at["e"]] == "two\nlines"
    assert number[at["f"]] == 0.1 + 0.2
    assert np.isnan(number[at["b"]]) and np.isnan(number[at["c"]])
    assert number[at["d"]] == np.inf and number[at["e"]] == -np.inf
    assert flag[at["a"]] == 1.0 and flag[at["b"]] == 0.0 and np.isnan(flag[at["c"]])
    assert [str(t) for t in rows.frame.dtypes] == ["float64", "float64", "object"]


@pytest.mark.parametrize(
    ("sql_type", "values"),
    [
        ("bigint", [2**53 + 1, -(2**63), 7]),
        ("boolean", [True, False]),
        ("text", ["yes", "", "$$"]),
        ("double precision", [0.5, 1e300]),
    ],
)
def test_labels_keep_their_type_and_every_digit(tmp_path: Path, sql_type: str, values: list) -> None:
    path = tmp_path / "snapshot.bin"
    write_snapshot(path, [(float(i), value) for i, value in enumerate(values)])
    labels = load(path, (column("x"),), column("target", sql_type)).target.tolist()
    assert sorted(labels, key=str) == sorted(values, key=str)
    assert {type(label) for label in labels} == {type(values[0])}


def test_an_empty_file_is_a_frame_without_rows(tmp_path: Path) -> None:
    rows = load_churn(tmp_path / "snapshot.bin", [])
    assert len(rows) == 0 and list(rows.frame) == ["calls", "plan", "minutes"]


def test_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    given = churn_rows(400)
    first = load_churn(tmp_path / "a.csv", given)
    second = load_churn(tmp_path / "b.csv", given[::-1])
    assert first.frame.equals(second.frame) and np.array_equal(first.target, second.target)
    assert first.digest == second.digest != load_churn(tmp_path / "c.csv", given[1:]).digest


def test_the_digest_is_that_of_the_rows_whatever_the_seed(tmp_path: Path) -> None:
    given = churn_rows(50)
    assert (
        load_churn(tmp_path / "a.csv", given).digest == load_churn(tmp_path / "b.csv", given, seed=7).digest
    )


def test_a_row_stays_on_its_side_when_others_come_and_go(tmp_path: Path) -> None:
    given = churn_rows(900)
    few, many = load_churn(tmp_path / "a.csv", given[:500]), load_churn(tmp_path / "b.csv", given[200:])
    held_few = as_set(few.take(holdout_mask(few.keys, 0.2)))
    held_many = as_set(many.take(holdout_mask(many.keys, 0.2)))
    both = as_set(few) & as_set(many)
    assert len(both) > 250
    assert held_few & both == held_many & both


def test_a_larger_holdout_contains_the_smaller(tmp_path: Path) -> None:
    rows = load_churn(tmp_path / "a.csv", churn_rows(2000))
    small, large = holdout_mask(rows.keys, 0.1), holdout_mask(rows.keys, 0.3)
    assert not np.any(small & ~large)
    assert small.mean() == pytest.approx(0.1, abs=0.03) and large.mean() == pytest.approx(0.3, abs=0.04)


def test_seeds_choose_different_holdouts(tmp_path: Path) -> None:
    given = churn_rows(500)
    held = [
        as_set(rows.take(holdout_mask(rows.keys, 0.2)))
        for rows in (load_churn(tmp_path / f"{seed}.csv", given, seed) for seed in (0, 1, 2**62))
    ]
    assert held[0] != held[1] != held[2]


def test_doubled_rows_are_on_one_side(tmp_path: Path) -> None:
    rows = load_churn(tmp_path / "a.csv", churn_rows(300) * 2)
    mask = holdout_mask(rows.keys, 0.2)
    assert not as_set(rows.take(mask)) & as_set(rows.take(~mask))


def test_a_table_of_few_distinct_rows_is_split_all_the_same(tmp_path: Path) -> None:
    given = [(i % 2, "a" if i % 3 else "b", None, "yes" if i % 2 else "no") for i in range(1200)]
    rows = load_churn(tmp_path / "a.csv", given)
    shuffled = load_churn(tmp_path / "b.csv", given[::-1])
    assert len(given) / len(set(given)) > FEW_DISTINCT_ROWS
    assert holdout_mask(rows.keys, 0.2).mean() == pytest.approx(0.2, abs=0.05)
    assert as_set(rows.take(holdout_mask(rows.keys, 0.2))) == set(given)
    assert rows.frame.equals(shuffled.frame)


def test_folds_are_stratified_and_keep_equal_rows_together() -> None:
    random = np.random.default_rng(0)
    keys = np.sort(random.integers(0, 2**63, 1000).astype(np.uint64).repeat(2))
    codes = (np.arange(2000) // 2) % 4  # equal rows have one class
    folds = fold_numbers(keys, codes, 5)
    for code in range(4):
        assert np.all(np.abs(np.bincount(folds[codes == code], minlength=5) - 100) <= 2)
    assert all(len(set(folds[keys == key])) == 1 for key in np.unique(keys)[:200])


def test_a_class_of_equal_rows_is_spread_over_folds() -> None:
    keys = np.array([1, 5, 5, 5, 9, 11, 13, 15], dtype=np.uint64)
    codes = np.array([0, 1, 1, 1, 0, 0, 0, 0])
    folds = fold_numbers(keys, codes, 3)
    assert len(set(folds[codes == 1])) == 3


@pytest.mark.parametrize("damage", ["other columns", "cut off", "no snapshot", "one row too long"])
def test_a_file_that_is_no_snapshot_of_these_columns_is_refused(tmp_path: Path, damage: str) -> None:
    path, columns = tmp_path / "snapshot.bin", CHURN_COLUMNS
    write_snapshot(path, churn_rows(50))
    content = path.read_bytes()
    if damage == "other columns":
        columns = columns[:-1]
    elif damage == "cut off":
        path.write_bytes(content[:-1])
    elif damage == "no snapshot":
        path.write_text("not,a,snapshot\n")
    else:
        longer = int.from_bytes(content[8:12], sys.byteorder) + 1
        path.write_bytes(content[:8] + longer.to_bytes(4, sys.byteorder) + content[12:])
    with pytest.raises(SnapshotFormatError):
        load(path, columns, CHURN_TARGET)


def test_rows_of_many_blocks_and_texts_come_whole(tmp_path: Path) -> None:
    n = 30_000  # 1.6 MB
    path = tmp_path / "snapshot.bin"
    write_snapshot(path, [(float(i), f"{i % 7 * 'ä'}{i}", None, i) for i in range(n)])
    assert path.stat().st_size > 3 * BLOCK_BYTES
    rows = load(path, CHURN_COLUMNS, column("target", "bigint"))
    assert sorted(rows.target.tolist()) == list(range(n))
    assert np.array_equal(rows.frame["calls"].to_numpy(), rows.target)
    assert rows.frame["plan"].tolist() == [f"{i % 7 * 'ä'}{i}" for i in rows.target.tolist()]


def test_neighbouring_rows_are_taken_as_any_others(tmp_path: Path) -> None:
    rows = load_churn(tmp_path / "a.bin", churn_rows(300))
    mask = holdout_mask(rows.keys, 0.3)
    held, other = rows.take(mask), rows.take(~mask)
    assert as_set(held) | as_set(other) == as_set(rows) and len(held) + len(other) == len(rows)
    assert list(other.frame.index) == list(range(len(other)))
    assert np.shares_memory(other.target, rows.target)  # a million rows aren't there twice
    mask[-1] = True
    assert as_set(rows.take(mask)) == as_set(held) | as_set(rows.take(np.arange(len(rows)) == len(rows) - 1))
    other.frame.loc[0, "calls"] = -1.0
    assert not (rows.frame["calls"] == -1.0).any()
