"""A scoring program as functions: choice of the style, bodies, parts.

Input: a checked program. Output: bodies for the publish macro, which writes `create function` around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

from postgres_ml.contract import sql_names
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.contract.model import FunctionBody
from postgres_ml.generate import literals
from postgres_ml.generate.functions import GeneratedFunctions, Style
from postgres_ml.generate.sql import outputs
from postgres_ml.generate.sql.arithmetic.interval import NotInlinableError, Value
from postgres_ml.generate.sql.body import PART_NODES, Context, header, inline_body, opening, plpgsql_body
from postgres_ml.generate.sql.cost import microseconds
from postgres_ml.generate.sql.fold.null_rows import facts_of, find_refusals
from postgres_ml.generate.sql.fold.slots import fold
from postgres_ml.generate.sql.plan import Plan
from postgres_ml.generate.sql.trees.single_score import (
    TwoClassForest,
    two_class_forest,
    with_labels_in_leaves,
)
from postgres_ml.program.program import BinaryLabel, ClusterLabel, MulticlassLabel, Program

INLINE_NODES = 500
INLINE_CHARACTERS = 20_000
EXPRESSION_NODES = 50_000
CHAINED_NODES = 200_000
LARGEST_BYTES = 32_000_000  # of all bodies together
STYLES = {
    "inline": "inlined into queries",
    "expression": "one expression",
    "chained": "an expression in each of several functions",
}


def generate_sql(
    program: Program, schema: str, function: str, rule: Program | None = None
) -> GeneratedFunctions:
    """Return the functions that predict what the program predicts.

    Parameters
    ----------
    program : a program that `check_program` accepts
    schema, function : where the prediction function goes, unquoted; the others are named after it
    rule : whether a row is an anomaly, which `<function>_is_anomaly` returns; None where nothing says so

    Raises
    ------
    UnsupportedModelError
        The program has too many tree nodes for SQL, something that SQL can't say exactly, or a column named
        like plpgsql's own names of arguments, $1 and so on.
    SpecError
        The function's name is too long for the names of its parts.
    """
    sql_names.check_function_name(function)
    context = make_context(program, schema, function)
    predict, style, plan = _predict(context)
    functions = [predict]
    if program.output.probabilities:
        functions.append(_probabilities(context))
    if isinstance(program.output, ClusterLabel):
        functions.append(_distances(context, program.output.distances))
    if rule is not None:
        functions.append(_is_anomaly(rule, context))
    all_functions = (*context.parts.values(), *functions)
    size = sum(len(body.body.encode()) for body in all_functions)
    if size > LARGEST_BYTES:
        raise UnsupportedModelError(
            "program", f"{size / 1e6:,.0f} MB of SQL", "use runtime: native, or a smaller model"
        )
    speed = round(1e6 / microseconds(plan, style))
    messages = _messages(program.n_nodes, size, speed, style)
    return GeneratedFunctions(all_functions, style, program.n_nodes, size, speed, messages)


def generate_part(
    program: Program, schema: str, function: str, suffix: str, others: Iterable[FunctionBody]
) -> tuple[FunctionBody, ...]:
    """Return a part that computes a program of its own from the function's arguments, after parts of its own.

    Parameters
    ----------
    suffix : of the part, which is the last one
    others : the function's parts, whose names are taken
    """
    context = make_context(program, schema, function)
    context.parts = {body.name: body for body in others if body.role == "part"}
    taken = set(context.parts)
    plan = context.plan(program.output.prediction_reads)
    language, body, _ = _written(context, plan, lambda read: outputs.prediction(program, read))
    name = sql_names.helper_name(function, suffix)
    new = [part for name, part in context.parts.items() if name not in taken]
    return (*new, _function(context, "part", name, program.return_type, language, body))


def make_context(program: Program, schema: str, function: str) -> Context:
    """Return what the functions of the program share."""
    slots = fold(program)
    refusals = find_refusals(program, slots)
    arguments, composite = _arguments(program, schema, function)
    facts = facts_of(program, slots, refusals)
    return Context(program, schema, function, slots, facts, refusals, arguments, composite)


def _arguments(
    program: Program, schema: str, function: str
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Return the functions' arguments, and the attributes of their composite type if they need one."""
    arguments = tuple((item.name, item.sql_type) for item in program.inputs)
    for name, _ in arguments:
        if re.fullmatch(r"\$\d+", name):  # plpgsql's own name of an argument
            raise UnsupportedModelError("column", f'the name "{name}"', "rename it")
    return sql_names.function_arguments(schema, function, arguments)


def _predict(context: Context) -> tuple[FunctionBody, Style, Plan]:
    forest = two_class_forest(context.program)
    shorter = with_labels_in_leaves(context.program)
    if shorter is not context.program:
        parts = context.parts
        context = make_context(shorter, context.schema, context.function)
        context.parts = parts

    def result(read: Callable[[int], Value]) -> str:
        return outputs.prediction(context.program, read)

    plan = context.plan(context.program.output.prediction_reads)
    if forest is None or plan.n_nodes <= 2 * INLINE_NODES:  # a small one may be part of the query
        language, body, style = _written(context, plan, result)
    else:
        parts_of = PART_NODES if _style(plan) == "chained" else None
        tie = context.add_part(
            "tie",
            context.arguments,
            context.program.return_type,
            plpgsql_body(context, plan, result, parts_of),
        )
        plan = context.plan((forest.slot,))
        language, body, style = _written(context, plan, _one_score(context, forest, tie))
    program = context.program
    return _function(context, "predict", context.function, program.return_type, language, body), style, plan


def _one_score(context: Context, forest: TwoClassForest, tie: str) -> Callable[[Callable[[int], Value]], str]:
    """Return how the second score decides; where it's near a tie, the part `tie` compares both."""
    output = context.program.output
    assert isinstance(output, MulticlassLabel)
    first, second = (literals.label(label, context.program.return_type) for label in output.labels)

    def result(read: Callable[[int], Value]) -> str:
        score = read(forest.slot).sql
        return (
            f"case when {score}>{literals.double(forest.high)} then {second} "
            f"when {score}<{literals.double(forest.low)} then {first} else {context.call(tie)} end"
        )

    return result


def _written(
    context: Context, plan: Plan, result: Callable[[Callable[[int], Value]], str]
) -> tuple[str, str, Style]:
    """Return language, body and style: a SQL function where one is possible and short."""
    if plan.n_nodes <= INLINE_NODES and not context.refusals.always:
        before = dict(context.parts)
        try:
            body = inline_body(context, plan, result, "extreme", context.program.return_type)
            if len(body) <= INLINE_CHARACTERS:
                return "sql", body, "inline"
        except NotInlinableError:
            pass
        context.parts = before
    style = _style(plan)
    return "plpgsql", plpgsql_body(context, plan, result, PART_NODES if style == "chained" else None), style


def _probabilities(context: Context) -> FunctionBody:
    output = context.program.output
    assert isinstance(output, BinaryLabel | MulticlassLabel)

    def result(read: Callable[[int], Value]) -> str:
        return outputs.probabilities(output.labels, [read(slot) for slot in output.probabilities])

    plan = context.plan(output.probabilities)
    body = plpgsql_body(context, plan, result, PART_NODES if _style(plan) == "chained" else None)
    name = f"{context.function}_probabilities"
    return _function(context, "probabilities", name, "jsonb", "plpgsql", body)


def _distances(context: Context, slots: tuple[int, ...]) -> FunctionBody:
    def result(read: Callable[[int], Value]) -> str:
        return outputs.distances([read(slot) for slot in slots])

    body = plpgsql_body(context, context.plan(slots), result, None)
    name = f"{context.function}_distances"
    return _function(context, "distances", name, "double precision[]", "plpgsql", body)


def _is_anomaly(rule: Program, scores: Context) -> FunctionBody:
    """Return the function of the rule, which shares what parts it can with the function of the scores."""
    context = make_context(rule, scores.schema, scores.function)
    context.parts = scores.parts
    plan = context.plan(rule.output.prediction_reads)
    language, body, _ = _written(context, plan, lambda read: outputs.prediction(rule, read))
    name = f"{context.function}_is_anomaly"
    return _function(context, "is_anomaly", name, rule.return_type, language, body)


def _function(
    context: Context,
    role: Literal["predict", "probabilities", "distances", "is_anomaly", "part"],
    name: str,
    returns: str,
    language: str,
    body: str,
) -> FunctionBody:
    written = (opening(name) if language == "plpgsql" else header(name)) + body
    return FunctionBody(role, name, context.arguments, returns, language, written, context.composite)


def _style(plan: Plan) -> Style:
    if plan.n_nodes <= EXPRESSION_NODES:
        return "expression"
    if plan.n_nodes <= CHAINED_NODES:
        return "chained"
    raise UnsupportedModelError(
        "tree ensemble",
        f"an ensemble of {plan.n_nodes:,} nodes",
        f"SQL functions take up to {CHAINED_NODES:,}: use runtime: native, or fewer or shallower trees",
    )


def _messages(n_nodes: int, size: int, speed: int, style: Style) -> tuple[str, ...]:
    nodes = f"{n_nodes:,} of at most {CHAINED_NODES:,} nodes, " if n_nodes else ""
    rounded = round(speed, 1 - len(str(speed)))
    messages = [f"sql: {nodes}{size / 1e6:.1f} MB, {STYLES[style]}, about {rounded:,} rows/s a core"]
    if style == "chained":
        messages.append(
            f"sql: an ensemble of {n_nodes:,} nodes takes some {n_nodes * 2.5e-3:,.0f} MB and "
            f"{n_nodes * 4e-3:,.0f} ms at the first call of every connection; "
            "runtime native, or fewer or shallower trees, would be better"
        )
    return tuple(messages)
