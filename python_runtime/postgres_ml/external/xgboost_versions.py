"""Refuses a model file whose xgboost is newer than the installed one where the latter would drop a field.

xgboost reads files of later versions, and skips what it does not know: 3.2 reads a dart model of 3.4 without
the weights of its trees, and predicts something else. Input: the file, and the Booster read from it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from postgres_ml.contract.exceptions import ArtifactError

# UBJSON: a key is 'L', its length as eight bytes, its letters; the version is an array of three small numbers
UBJSON_VERSION = re.compile(rb"\x07version\[#L\x00{7}\x03[iU](.)[iU](.)", re.DOTALL)
UBJSON_NAME = re.compile(rb"(?<!S)L\x00{7}([\x04-\x40])")
JSON_VERSION = re.compile(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)')
JSON_NAME = re.compile(rb'"([a-z_]+)"\s*:')


def check_fields(path: Path, booster: Any) -> None:
    """Compare the fields of a newer version's file with those that the installed version writes of it.

    Raises
    ------
    ArtifactError
        The installed version drops a field; the message names it, the versions and the cure.
    """
    import xgboost

    raw = path.read_bytes()
    is_json = raw.lstrip()[:2] in (b'{"', b"{\n", b"{ ", b"{\r", b"{}")
    written = _version(raw, is_json)
    installed = tuple(map(int, xgboost.__version__.split(".")[:2]))
    if written <= installed:
        return
    kept = bytes(booster.save_raw("json" if is_json else "ubj"))
    dropped = _names(raw, is_json) - _names(kept, is_json)
    if dropped:
        release, fields = ".".join(map(str, written)), ", ".join(sorted(dropped))
        raise ArtifactError(
            f"source {path.name} was written by xgboost {release} and has the field {fields}, which the "
            f"xgboost {xgboost.__version__} of dbt's environment does not know: it would predict something "
            "else. Install at least the file's version there (which may need a newer Python), or train with "
            "the installed one"
        )


def _version(raw: bytes, is_json: bool) -> tuple[int, ...]:
    if is_json:
        return max((tuple(map(int, found)) for found in JSON_VERSION.findall(raw)), default=(0, 0))
    return max(((a[0], b[0]) for a, b in UBJSON_VERSION.findall(raw)), default=(0, 0))


def _names(raw: bytes, is_json: bool) -> set[str]:
    if is_json:
        return {name.decode() for name in JSON_NAME.findall(raw)}
    found = (raw[key.end() : key.end() + key[1][0]] for key in UBJSON_NAME.finditer(raw))
    return {name.decode() for name in found if re.fullmatch(rb"[a-z_]+", name)}
