"""What code generation hands on: function bodies with a role, and their statement for tests and tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postgres_ml.contract.model import FunctionBody
from postgres_ml.contract.sql_names import identifier
from postgres_ml.generate import literals

Style = Literal["inline", "expression", "chained", "program", "artifact"]


@dataclass(frozen=True)
class GeneratedFunctions:
    """The functions of one scoring program.

    Parameters
    ----------
    functions : in the order of creation, parts before the functions that call them
    style : 'inline' is a SQL function that the planner puts into the query, 'expression' one plpgsql
        function, 'chained' a plpgsql function that calls parts of the ensemble one after the other;
        'program' is the scoring program itself, in language plmodel; 'artifact' asks the pipeline
    n_nodes : tree nodes of the program
    size_bytes : of all bodies
    est_rows_per_s : predictions a second to expect of one core
    messages : what the user should know about size and speed
    """

    functions: tuple[FunctionBody, ...]
    style: Style
    n_nodes: int
    size_bytes: int
    est_rows_per_s: int
    messages: tuple[str, ...]


def create_statement(body: FunctionBody, schema: str) -> str:
    """Return the statements that create the function, and its composite type where it has one.

    For tests and tools; the publish macro writes its own. The type is made with `create type`, which fails
    where it exists.
    """
    statements = []
    if body.composite:
        attributes = ", ".join(f"{identifier(n)} {literals.type_name(t)}" for n, t in body.composite)
        statements.append(f"create type {body.arguments[0][1]} as ({attributes});\n")
    defaults = ["" for _ in body.arguments[len(body.defaults) :]] + [f" default {d}" for d in body.defaults]
    arguments = ", ".join(
        f"{identifier(n)} {literals.type_name(t)}{default}"
        for (n, t), default in zip(body.arguments, defaults, strict=True)
    )
    columns = ", ".join(f"{identifier(n)} {literals.type_name(t)}" for n, t in body.columns)
    returns = f"table ({columns})" if columns else literals.type_name(body.returns)
    name = f"{identifier(schema)}.{identifier(body.name)}"
    tag = dollar_tag(body.body)
    statements.append(
        f"create or replace function {name}({arguments})\nreturns {returns}\n"
        f"language {body.language} {body.options} as {tag}{body.body}{tag}"
    )
    return "".join(statements)


def dollar_tag(body: str) -> str:
    """Return a dollar quote that doesn't occur in the body."""
    number = 0
    while f"$body{number or ''}" in body:
        number += 1
    return f"$body{number or ''}$"
