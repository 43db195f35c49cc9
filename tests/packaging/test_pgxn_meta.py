"""The extension's META.json is one that PGXN takes (its Meta Spec 1.0.0), and is true of the extension."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

EXTENSION = Path(__file__).parents[2] / "extension"
META = json.loads((EXTENSION / "META.json").read_text())

TERM = {"type": "string", "minLength": 2, "pattern": r"^[^\s/\\\x00-\x1f\x7f]+$"}
TEXT = {"type": "string", "minLength": 1}
VERSION = {
    "type": "string",
    "pattern": r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$",
}
RANGE = {
    "oneOf": [{"const": 0}, {"type": "string", "pattern": r"^((==|!=|>=|>|<=|<)?\s*\d+\.\d+\.\d+(,\s*)?)+$"}]
}
PATH = {"type": "string", "pattern": r"^(?!/)(?!.*\.\.)[^\\]+$"}
CUSTOM = {"^[xX]_": {}}
LICENSES = [
    "agpl_3",
    "apache_1_1",
    "apache_2_0",
    "artistic_1",
    "artistic_2",
    "bsd",
    "freebsd",
    "gfdl_1_2",
    "gfdl_1_3",
    "gpl_1",
    "gpl_2",
    "gpl_3",
    "lgpl_2_1",
    "lgpl_3_0",
    "mit",
    "mozilla_1_0",
    "mozilla_1_1",
    "openssl",
    "perl_5",
    "postgresql",
    "qpl_1_0",
    "ssleay",
    "sun",
    "zlib",
    "open_source",
    "restricted",
    "unrestricted",
    "unknown",
]


def section(required: list[str], patterns: dict = CUSTOM, **properties: dict) -> dict:
    """A map that holds what it must, what it may, and keys of one's own that begin with x_."""
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "patternProperties": patterns,
        "additionalProperties": False,
    }


PHASE = section(
    [],
    **{
        key: {"type": "object", "propertyNames": TERM, "additionalProperties": RANGE}
        for key in ("requires", "recommends", "suggests", "conflicts")
    },
)
SPEC = section(
    ["name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"],
    **{
        "name": TERM,
        "version": VERSION,
        "abstract": TEXT,
        "description": TEXT,
        "generated_by": TEXT,
        "maintainer": {"oneOf": [TEXT, {"type": "array", "minItems": 1, "items": TEXT}]},
        "license": {"enum": LICENSES},
        "release_status": {"enum": ["stable", "testing", "unstable"]},
        "provides": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": TERM,
            "additionalProperties": section(
                ["file", "version"], file=PATH, docfile=PATH, version=VERSION, abstract=TEXT
            ),
        },
        "prereqs": section([], **dict.fromkeys(("configure", "build", "test", "runtime", "develop"), PHASE)),
        "resources": {"type": "object"},
        "tags": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[^/\\\x00-\x1f]+$"},
        },
        "meta-spec": section(
            ["version"],
            version={"type": "string", "pattern": r"^1\.0\.\d+$"},
            url={"const": "https://pgxn.org/meta/spec.txt"},
        ),
    },
)


def test_it_is_what_the_spec_asks():
    jsonschema.Draft202012Validator.check_schema(SPEC)
    jsonschema.Draft202012Validator(SPEC).validate(META)


@pytest.mark.parametrize(
    "changed",
    [{"license": "apache-2"}, {"version": "0.1"}, {"nmae": "x"}, {"provides": {}}, {"name": "pl model"}],
    ids=lambda changed: next(iter(changed)),
)
def test_the_spec_refuses_what_pgxn_would(changed):
    assert list(jsonschema.Draft202012Validator(SPEC).iter_errors(META | changed))


def test_it_is_true_of_the_extension():
    control = dict(re.findall(r"^(\w+) = '?([^'\n]*)'?$", (EXTENSION / "plmodel.control").read_text(), re.M))
    made = re.search(r"^EXTVERSION = (\S+)$", (EXTENSION / "Makefile").read_text(), re.M)[1]
    provided = META["provides"]["plmodel"]
    assert META["version"] == provided["version"] == control["default_version"] == made
    assert provided["file"].endswith(f"/plmodel--{made}.sql")
    assert [
        path for path in (provided["file"], provided["docfile"]) if not (EXTENSION / path).is_file()
    ] == []
    lowest = re.search(
        r"^A procedural language for PostgreSQL (\d+) to", (EXTENSION / "README.md").read_text(), re.M
    )
    assert META["prereqs"]["runtime"]["requires"]["PostgreSQL"] == f"{lowest[1]}.0.0"
