"""A create_model node in Python: its own code fits the estimator, on the rows of the relation it names."""

from __future__ import annotations

import ast
import hashlib
from typing import Any

from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager
from dbt.adapters.postgres_ml.training import Training

from postgres_ml.exceptions import SpecError
from postgres_ml.sql_names import identifier


class Coding(Training):
    """Drives one node whose body is `def model(dbt, session)`.

    The relation that the code refers to is the training query; evaluation, refit and publication are those
    of every training.
    """

    def __init__(self, node: Any, sql: str, config: Any, connections: PostgresMLConnectionManager) -> None:
        super().__init__(node, sql, config, connections)
        self.code = sql
        columns = [column.name for column in self.spec.arguments]
        if columns and self.spec.target is not None:
            columns.append(self.spec.target)
        selected = ", ".join(map(identifier, columns)) or "*"
        self.sql = f"select {selected} from {self._relation()}"

    def _relation(self) -> str:
        found = relations_of(self.code or "")
        if len(found) != 1:
            raise SpecError(
                "a model in Python trains on the rows of one relation: `model` must call dbt.ref or "
                f"dbt.source of one, and calls {', '.join(found) or 'none'}; join them in a dbt model in SQL"
            )
        return found[0]

    def _identity(self) -> dict[str, Any]:
        """Return the digest of the code: another code is a change."""
        return {"code": hashlib.sha256((self.code or "").encode()).hexdigest()}


def relations_of(code: str) -> tuple[str, ...]:
    """Return the relations that dbt's compiled code refers to: the values of its dicts refs and sources."""
    found: dict[str, None] = {}
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if names and names[0] in ("refs", "sources"):
            found |= {str(v.value): None for v in node.value.values if isinstance(v, ast.Constant)}
    return tuple(found)
