"""Function bodies: the prologue that reads arguments, the groups of steps, and the return expression."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from postgres_ml.contract import sql_names
from postgres_ml.contract.model import FunctionBody
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arguments import ArgumentReader
from postgres_ml.generate.sql.arithmetic import ieee754
from postgres_ml.generate.sql.arithmetic.interval import Calculator, NotInlinableError, Value
from postgres_ml.generate.sql.emitter import Emitter
from postgres_ml.generate.sql.fold import null_rows
from postgres_ml.generate.sql.fold.null_rows import Refusals
from postgres_ml.generate.sql.fold.slots import Slot
from postgres_ml.generate.sql.plan import EnsemblePlan, Plan, make_plan
from postgres_ml.generate.sql.trees import ensemble as ensembles
from postgres_ml.generate.sql.trees.part_arguments import PartArgumentReader
from postgres_ml.generate.sql.trees.simplify import Facts
from postgres_ml.generate.sql.trees.write import TreeWriter
from postgres_ml.generate.version import GENERATOR_VERSION
from postgres_ml.program.program import Program
from postgres_ml.program.version import IR_VERSION

Result = Callable[[Callable[[int], Value]], str]
PART_NODES = 8000  # of one part of a chained ensemble


@dataclass
class Context:
    """What the functions of one program share.

    Parameters
    ----------
    arguments, composite : of the functions that users call (see `FunctionBody`)
    parts : by name, in the order of creation
    """

    program: Program
    schema: str
    function: str
    slots: list[Slot]
    facts: Facts
    refusals: Refusals
    arguments: tuple[tuple[str, str], ...]
    composite: tuple[tuple[str, str], ...]
    parts: dict[str, FunctionBody] = field(default_factory=dict)

    def add_part(self, suffix: str, arguments: tuple[tuple[str, str], ...], returns: str, body: str) -> str:
        """Return the qualified name of a part, made now unless there is the same one already."""
        number = 0
        while True:
            name = sql_names.helper_name(self.function, f"{suffix}{f'_{number}' if number else ''}")
            composite = self.composite if arguments == self.arguments else ()
            part = FunctionBody("part", name, arguments, returns, "plpgsql", opening(name) + body, composite)
            if self.parts.setdefault(name, part) == part:
                return self.qualified(name)
            number += 1

    def plan(self, roots: Sequence[int]) -> Plan:
        """Return the plan that computes these slots, and those by which rows are refused."""
        computed = [slot for slot, _ in self.refusals.computed]
        return make_plan(self.program, self.slots, self.facts, [*roots, *computed])

    def call(self, part: str) -> str:
        """Return a call of a part that has the function's own arguments."""
        return f"{part}({','.join(f'${number}' for number in range(1, len(self.arguments) + 1))})"

    def qualified(self, name: str) -> str:
        """Return the name with its schema."""
        return f"{sql_names.identifier(self.schema)}.{sql_names.identifier(name)}"

    @property
    def helpers(self) -> tuple[str, str]:
        """The qualified names of the helper functions for IEEE arithmetic (see `ieee754`)."""
        names = (sql_names.helper_name(self.function, suffix) for suffix in ("ieee", "dot"))
        first, second = map(self.qualified, names)
        return first, second

    def use_helpers(self, *calculators: Calculator) -> None:
        """Make the helper functions that the calculators' statements call parts of the program."""
        if any(calculator.uses_helper for calculator in calculators):
            name = self.add_part("ieee", ieee754.ARGUMENTS, DOUBLE, ieee754.BODY)
            if any(calculator.uses_dot for calculator in calculators):
                self.add_part("dot", ieee754.DOT_ARGUMENTS, DOUBLE, ieee754.DOT_BODY.format(ieee=name))


def header(name: str) -> str:
    """Return the line that says where a body comes from; a line break in the name can't end it."""
    quoted = json.dumps(name, ensure_ascii=False)
    return f"\n-- {quoted}, generator {GENERATOR_VERSION}, ir_version {IR_VERSION}\n"


def opening(name: str) -> str:
    """Return how a body in plpgsql begins: an argument may be named as a column of the body's queries.

    Bodies read arguments as $1, $2, …, so such a name in a query is the column's.
    """
    return f"{header(name)}#variable_conflict use_column\n"


def inline_body(context: Context, plan: Plan, result: Result, suffix: str, returns: str) -> str:
    """Return the body of a SQL function that the planner can inline: one expression.

    Raises
    ------
    NotInlinableError
        The program needs variables, or reads something that isn't immutable.
    """
    reader, calculator = ArgumentReader(context.program, False), Calculator(context.helpers, False)
    if any(reader.is_stable(position) for position in range(len(reader.inputs))) or context.refusals.computed:
        raise NotInlinableError
    writer, emitter = TreeWriter(reader, frozenset()), Emitter(plan, reader, calculator, False)
    for group in plan.groups:
        if group[0] in plan.ensembles:
            ensemble = plan.ensembles[group[0]]
            offset = context.program.offsets[group[0]]
            for output, position in enumerate(ensemble.positions):
                chunk = _all_of(ensemble, output)
                sql = f"({ensembles.total(writer, ensemble, chunk, ensembles.start(ensemble, output))})"
                emitter.keep_inline(offset + position, ensembles.finished(ensemble, output, sql, calculator))
        else:
            emitter.group(group)
    expression = result(emitter.read)
    null_rows.extreme_conditions(reader, context.refusals)
    conditions = null_rows.ordinary_conditions(plan, reader, writer, context.refusals)
    whens = []
    if guard := reader.guard():
        any_row = plpgsql_body(context, plan, result, None)
        part = context.add_part(suffix, context.arguments, returns, any_row)
        whens.append(f"when {guard} then {context.call(part)}")
    if conditions:
        whens.append(f"when {' or '.join(conditions)} then null")
    context.use_helpers(calculator)
    if whens:
        expression = f"case {' '.join(whens)}\nelse {expression} end"
    return f"select {expression}\n"


def _all_of(ensemble: EnsemblePlan, output: int) -> ensembles.Chunk:
    trees = tuple(tree for outputs, tree in ensemble.trees if outputs == (output,))
    if len(trees) != sum(output in outputs for outputs, _ in ensemble.trees):
        raise NotInlinableError  # trees of several outputs go by a leaf number
    return ensembles.Chunk((output,), trees)


def plpgsql_body(context: Context, plan: Plan, result: Result, part_nodes: int | None) -> str:
    """Return a plpgsql body.

    Parameters
    ----------
    result : makes the returned expression
    part_nodes : trees go to parts of at most so many nodes; None keeps them in this body
    """
    reader = ArgumentReader(context.program, True)
    writer = TreeWriter(reader, plan.coded)
    ordinary = Emitter(plan, reader, Calculator(context.helpers, True, "t"), False)
    exact = Emitter(plan, reader, Calculator(context.helpers, True, "x"), True)
    statements: list[str] = []
    both = False
    for group in [*plan.groups, []]:
        if group and group[0] in plan.ensembles:
            statements += _ensemble(context, plan.ensembles[group[0]], (ordinary, exact), writer, part_nodes)
            continue
        paths = [emitter.group(group) if group else emitter.roots() for emitter in (exact, ordinary)]
        chosen = _either(*paths)
        both = both or chosen is not paths[1]
        statements += chosen
    statements.append(_refuse(null_rows.computed_conditions(reader, context.refusals)))
    returns = [[f"return {result(emitter.read)};"] for emitter in (exact, ordinary)]
    statements += _either(*returns)
    both = both or returns[0] != returns[1]
    context.use_helpers(ordinary.calculator, exact.calculator)
    prologue = _prologue(context, plan, reader, writer, both)
    declarations = {**exact.calculator.declarations, **ordinary.calculator.declarations}
    return _written(reader, declarations, [*prologue, *statements], both)


def _either(exact: list[str], ordinary: list[str]) -> list[str]:
    """Return the ordinary statements alone if the exact ones are the same but for the variables' names."""
    if ordinary == [re.sub(r"\bx(\d+)\b", r"t\1", line) for line in exact]:
        return ordinary
    return ["if extreme then", *exact, "else", *ordinary, "end if;"]


def _prologue(
    context: Context, plan: Plan, reader: ArgumentReader, writer: TreeWriter, both: bool
) -> list[str]:
    """Return the statements that read arguments; `extreme` is set for rows that need care.

    NaN is NULL from here on, and a row with nothing worse is an ordinary one.
    """
    if context.refusals.always:
        return ["return null;"]
    conditions = null_rows.extreme_conditions(reader, context.refusals)
    ordinary = null_rows.ordinary_conditions(plan, reader, writer, context.refusals)
    guard = reader.guard()
    base = [
        f"{name} := {sql};" for source, (name, sql) in reader.conversions.items() if source == source.base
    ]
    changed = [
        f"{name} := {sql};" for source, (name, sql) in reader.conversions.items() if source != source.base
    ]
    codes = [f"{name} := {sql};" for name, sql in reader.codes.values()]
    extreme = [f"{argument} := nullif({argument},'NaN');" for argument in reader.floats()]
    extreme.append(_refuse(conditions))
    if both:
        extreme.append(f"extreme := ({guard}) is true;")
    guarded = [f"if {guard} then", *extreme, "end if;"] if guard else []
    words = [line for item in reader.texts for line in item.statements(reader.category(item.step.input))]
    return [*base, *guarded, *changed, *codes, _refuse(ordinary), *words]


def _refuse(conditions: Sequence[str]) -> str:
    return f"if {' or '.join(conditions)} then return null; end if;" if conditions else ""


def _written(
    reader: ArgumentReader, declarations: dict[str, str], statements: Sequence[str], both: bool
) -> str:
    declared = ["f alias for $1;"] if reader.is_composite else []
    declared += [f"{name} {DOUBLE};" for name, _ in reader.conversions.values()]
    declared += [f"{name} integer;" for name, _ in reader.codes.values()]
    declared += [f"{name} {sql_type};" for name, sql_type in declarations.items()]
    for item in reader.texts:
        declared += [f"{name} {sql_type};" for name, sql_type in item.declarations.items()]
    declared += ["extreme boolean := false;"] if both else []
    lines = [line for line in statements if line]
    opening = ["declare", *declared] if declared else []
    return "\n".join([*opening, "begin", *lines, "end\n"])


def _ensemble(
    context: Context,
    ensemble: EnsemblePlan,
    emitters: tuple[Emitter, Emitter],
    writer: TreeWriter,
    part_nodes: int | None,
) -> list[str]:
    """Return the statements that leave each output of the ensemble in its slot's variable."""
    calculator, number_type = emitters[0].calculator, ensembles.sql_type(ensemble)
    offset = context.program.offsets[ensemble.step]
    names = [f"s{offset + position}" for position in ensemble.positions]
    started = set[int]()
    for chunk in ensembles.chunks(ensemble, part_nodes or float("inf")):
        totals = [names[output] for output in chunk.outputs]
        begins = [ensembles.start(ensemble, o) if o not in started else names[o] for o in chunk.outputs]
        started.update(chunk.outputs)
        if part_nodes is not None:
            _call_part(context, ensemble, calculator, writer, chunk, totals, begins)
        elif len(chunk.outputs) == 1:
            sql = ensembles.total(writer, ensemble, chunk, begins[0])
            calculator.statements.append(f"{totals[0]} := {sql};")
        else:
            calculator.statements += [f"{n} := {b};" for n, b in zip(totals, begins, strict=True) if n != b]
            ensembles.add_chunk(writer, calculator, ensemble, chunk, totals)
    for output, name in enumerate(names):
        if output not in started:
            calculator.statements.append(f"{name} := {ensembles.start(ensemble, output)};")
        value = ensembles.finished(ensemble, output, name, calculator)
        if value.sql != name:
            calculator.statements.append(f"{name} := {value.sql};")
        calculator.declarations[name] = number_type
        for emitter in emitters:
            emitter.keep(offset + ensemble.positions[output], value, name)
    statements, calculator.statements = calculator.statements, []
    return statements


def _call_part(
    context: Context,
    ensemble: EnsemblePlan,
    calculator: Calculator,
    writer: TreeWriter,
    chunk: ensembles.Chunk,
    totals: Sequence[str],
    begins: Sequence[str],
) -> None:
    """Write the call of a part that adds the chunk's leaves to the totals; make the part."""
    number_type = ensembles.sql_type(ensemble)
    reader = PartArgumentReader(writer.reader, chunk)
    inner = Calculator(context.helpers, True, "t")
    part_writer = TreeWriter(reader, writer.coded)
    outputs = "_".join(str(ensemble.positions[output]) for output in chunk.outputs)
    suffix = f"trees_{ensemble.step}_{outputs}"
    if len(totals) == 1:
        body = f"begin\nreturn {ensembles.total(part_writer, ensemble, chunk, '$1')};\nend\n"
        returns, passed, target = number_type, begins[0], totals[0]
    else:
        locals_ = [f"m{number}" for number in range(1, len(totals) + 1)]
        inner.statements += [f"{name} := $1[{number}];" for number, name in enumerate(locals_, 1)]
        ensembles.add_chunk(part_writer, inner, ensemble, chunk, locals_)
        declared = [
            f"{n} {t};" for n, t in {**dict.fromkeys(locals_, number_type), **inner.declarations}.items()
        ]
        lines = [*inner.statements, f"return array[{','.join(locals_)}];"]
        body = "\n".join(["declare", *declared, "begin", *lines, "end\n"])
        returns, passed = f"{number_type}[]", f"array[{','.join(begins)}]"
        target = calculator.declare(returns)
    arguments = (("total", returns), *reader.arguments())
    part = context.add_part(suffix, arguments, returns, body)
    operands = ",".join([passed, *(operand.sql for operand in reader.passed)])
    calculator.statements.append(f"{target} := {part}({operands});")
    if len(totals) > 1:
        calculator.statements += [f"{name} := {target}[{n}];" for n, name in enumerate(totals, 1)]
