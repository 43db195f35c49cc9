"""A file of a newer xgboost is read where the installed one keeps all of its fields."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xgboost
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.external import native_files

NEWER = ["99", "7"]


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    data = xgboost.DMatrix(np.arange(20.0).reshape(-1, 1), np.arange(20.0))
    return xgboost.train({"max_depth": 2, "nthread": 1}, data, 2)


def as_json(booster: xgboost.Booster, path: Path, extra: dict[str, object]) -> Path:
    content = json.loads(bytes(booster.save_raw("json")))
    content["version"] = [*map(int, NEWER), 0]
    content["learner"]["gradient_booster"]["model"] |= extra
    path.write_text(json.dumps(content))
    return path


def as_ubjson(booster: xgboost.Booster, path: Path, extra: bytes) -> Path:
    raw = bytes(booster.save_raw("ubj"))
    at = raw.index(b"version[#L") + len(b"version[#L") + 8
    key = b"L" + (10).to_bytes(8, "big") + b"tree_param"
    first = raw.index(key)
    path.write_bytes(raw[:first] + extra + raw[first:at] + b"i\x63i\x07i\x00" + raw[at + 6 :])
    return path


def test_a_newer_file_without_new_fields_is_read(booster: xgboost.Booster, tmp_path: Path) -> None:
    for path in (as_json(booster, tmp_path / "m.json", {}), as_ubjson(booster, tmp_path / "m.ubj", b"")):
        assert native_files.read(path).num_boosted_rounds() == 2


def test_a_field_that_is_dropped_is_named(booster: xgboost.Booster, tmp_path: Path) -> None:
    field = b"L" + (11).to_bytes(8, "big") + b"leaf_scales" + b"i\x01"
    files = (
        as_json(booster, tmp_path / "m.json", {"leaf_scales": [0.5, 1.0]}),
        as_ubjson(booster, tmp_path / "m.ubj", field),
    )
    for path in files:
        with pytest.raises(ArtifactError, match=rf"{path.name} was written by xgboost 99\.7 .* leaf_scales,"):
            native_files.read(path)


def test_files_of_the_installed_and_of_older_versions_are_read(
    booster: xgboost.Booster, tmp_path: Path
) -> None:
    path = tmp_path / "m.json"
    booster.save_model(path)
    assert native_files.read(path).num_boosted_rounds() == 2
    content = json.loads(path.read_text())
    content["learner"]["attributes"]["gone"] = "1"
    content["version"] = [1, 0, 0]
    path.write_text(json.dumps(content))
    assert native_files.read(path).num_boosted_rounds() == 2
