"""An enforced contract on a create_model: the training query's columns are those of the YAML.

The function's signature follows from them, so that a contract on the query is one on the function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from postgres_ml.contract.column import Column
from postgres_ml.snapshot.copy import Cursor


def check_contract(cursor: Cursor, node: Any, columns: Sequence[Column]) -> list[str]:
    """Return what differs from the node's contract, one sentence each; nothing if it isn't enforced.

    Parameters
    ----------
    columns : of the training query
    """
    contract = getattr(node.config, "contract", None)
    if contract is None or not contract.enforced:
        return []
    given = {column.name: column.sql_type for column in columns}
    promised = {column.name: column.data_type for column in node.columns.values()}
    problems = [f'contract: the query has no column "{name}"' for name in promised if name not in given]
    problems += [
        f'contract: column "{name}" of the query is not in it' for name in given if name not in promised
    ]
    for name in given.keys() & promised.keys():
        cursor.execute("select format_type(to_regtype(%s)::oid, null)", (promised[name],))
        wanted = cursor.fetchall()[0][0]
        if wanted is None:
            problems.append(f'contract: column "{name}": there is no type {promised[name]}')
        elif wanted != given[name]:
            problems.append(f'contract: column "{name}" is {given[name]}, the contract says {wanted}')
    return sorted(problems)
