"""A create_model node in Python: its own code fits the estimator, on the rows of the relations it names."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.job import OtherRelation
from postgres_ml.contract.sql_names import identifier
from postgres_ml.snapshot import digest as digests
from postgres_ml.snapshot.copy import SnapshotSummary, copy_snapshot, describe_query

WHOLE = Settings(max_cells=2**62)  # other relations than the training rows are not sampled


class PythonModelBuild(NodeBuild):
    """The build of a node whose body is `def model(dbt, session)`.

    The first relation it refers to that has the target is the training query, whose rows are split; the code
    gets all others whole. Evaluation, refit and publication are those of every training.
    """

    def describe(self, cursor: Any) -> TrainingQuery:
        """Return the relation to train on, the columns of all, and the code; raises as every build does."""
        names = relations_of(self.sql)
        found = {name: self._columns(cursor, name) for name in names}
        target = self.spec.target
        labelled = [name for name in names if target in (None, *(column.name for column in found[name]))]
        if not labelled:
            of_target = f' with the target "{target}"' if target else ""
            raise SpecError(
                f"a model in Python trains on the rows of a relation{of_target}: `model` must call dbt.ref "
                f"or dbt.source of one, and calls {', '.join(names) or 'none'}"
            )
        relation = labelled[0]
        others = tuple(
            OtherRelation(name, found[name], str(self.directory / f"snapshot_{position}.bin"))
            for position, name in enumerate(names)
            if name != relation
        )
        columns = [column.name for column in self.spec.arguments]
        if columns:
            columns += [name for name in (target, self.spec.weight) if name is not None]
        selected = ", ".join(map(identifier, columns)) or "*"
        query = self.describe_query(cursor, f"select {selected} from {relation}")
        return dataclasses.replace(query, code=self.sql, relation=relation, others=others)

    def _columns(self, cursor: Any, relation: str) -> tuple[Column, ...]:
        try:
            return describe_query(cursor, f"select * from {relation}", self.spec.settings)
        except TrainingDataError as error:
            raise TrainingDataError(f"{relation}, which the model's code reads: {error}") from error

    def measure(self, cursor: Any, query: TrainingQuery) -> tuple[int, int]:
        """Return the digest of the rows of all relations, and how many there are to train on."""
        digest, n_rows = super().measure(cursor, query)
        others = [
            digests.measure(cursor, f"select * from {o.name}", o.columns, WHOLE)[0] for o in query.others
        ]
        return combined([digest, *others]), n_rows

    def copy_rows(self, cursor: Any, query: TrainingQuery) -> SnapshotSummary | None:
        """Copy the rows of all relations; one transaction reads them, each as it is when its turn comes."""
        summary = super().copy_rows(cursor, query)
        if summary is None:
            return None
        digest_of = [summary.digest]
        for other in query.others:
            sql, path = f"select * from {other.name}", Path(other.file)
            copied = copy_snapshot(cursor, sql, other.columns, None, path, WHOLE, None)
            digest_of.append(copied.digest)
        return dataclasses.replace(summary, digest=combined(digest_of))

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """The digest of the code: other code is a change."""
        return {"code": hashlib.sha256(self.sql.encode()).hexdigest()}


def combined(digests_of_relations: Sequence[int]) -> int:
    """Return one digest of several relations' rows; that of one is its own."""
    first, *others = digests_of_relations
    if not others:
        return first
    text = " ".join(map(str, digests_of_relations)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big", signed=True)


def relations_of(code: str) -> tuple[str, ...]:
    """Return the relations that dbt's compiled code refers to, in the order in which it asks for them.

    They are the values of its dicts refs and sources, whose keys dbt sorts.
    """
    by_key: dict[str, str] = {}
    calls = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if names and names[0] in ("refs", "sources"):
                pairs = zip(node.value.keys, node.value.values, strict=True)
                by_key |= {_text(key): _text(value) for key, value in pairs}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("dbt.ref", "dbt.source"):
            version = [f"v{_text(k.value)}" for k in node.keywords if k.arg in ("v", "version")]
            calls.append((node.lineno, node.col_offset, ".".join([*map(_text, node.args), *version])))
    asked = [by_key[key] for _, _, key in sorted(calls) if key in by_key]
    return tuple(filter(None, dict.fromkeys([*asked, *by_key.values()])))


def _text(node: ast.expr | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""
