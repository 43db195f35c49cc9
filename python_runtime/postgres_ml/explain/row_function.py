"""`<function>_explain`: the exact Shapley values of one row, in SQL.

A part computes the encoders' slots, as the prediction function does. From them a linear term is arithmetic;
trees stand as constant arrays of their paths' conditions (see `trees.Paths`), and the formula of `trees` is a
query over them, with logarithms in place of products. A path that the row leaves where no background row
stayed counts nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from postgres_ml.contract import sql_names
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.contract.model import FunctionBody
from postgres_ml.explain import ExactScores, Explanation
from postgres_ml.explain.path_conditions import Columns, columns_of
from postgres_ml.explain.tables import TableExplainer
from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arguments import LIMIT
from postgres_ml.generate.sql.arithmetic.interval import Calculator, Value, constant
from postgres_ml.generate.sql.body import Context, opening, plpgsql_body
from postgres_ml.generate.sql.generate import make_context

DOUBLES = "double precision[]"
BUILD = "pg_catalog.jsonb_build_object"


def row_function(explanation: Explanation, schema: str, function: str) -> tuple[FunctionBody, ...]:
    """Return the functions that explain one row, parts first.

    Raises
    ------
    UnsupportedModelError
        The values are sampled, or the trees are too many or too deep for a query.
    """
    exact = explanation.exact
    if exact is None:
        raise UnsupportedModelError("explain", "a model whose SHAP values are sampled", "use one model_type")
    # parts have names of their own, and begin as all of the prediction function's do: so stale ones are found
    own = f"{function}__explain"
    context = dataclasses.replace(make_context(exact.sums.program, schema, function), function=own)
    used = sorted(
        {slot for term in exact.terms for slot in term.slots}
        | {slot for explainer in exact.explainers.values() for slot in explainer.step.slots}
    )
    columns = columns_of(exact, used)
    slots = context.add_part("slots", context.arguments, DOUBLES, _slots_body(context, used))
    body = _body(context, explanation, exact, used, columns, context.call(slots))
    name = f"{function}_explain"
    made = FunctionBody(
        "explain", name, context.arguments, "jsonb", "plpgsql", opening(name) + body, context.composite
    )
    return (*context.parts.values(), made)


def _slots_body(context: Context, used: list[int]) -> str:
    def result(read: Callable[[int], Value]) -> str:
        return f"array[{','.join(f'({read(slot).sql})::{DOUBLE}' for slot in used)}]::{DOUBLES}"

    return plpgsql_body(context, context.plan(used), result, None)


def _body(
    context: Context,
    explanation: Explanation,
    exact: ExactScores,
    used: list[int],
    columns: Columns,
    slots: str,
) -> str:
    place = {slot: position for position, slot in enumerate(used, start=1)}
    calculator = Calculator(context.helpers, has_variables=False)
    sets = [
        f"return {_explanations(explanation, exact, place, columns, calculator, bound)};\n"
        for bound in (math.inf, LIMIT)
    ]
    context.use_helpers(calculator)
    declared = f"declare\ns constant {DOUBLES} := {slots};\nt {DOUBLES};\n"
    trees = _tree_query(columns, len(explanation.names), len(explanation.labels)) if columns.leaf else ""
    if sets[0] != sets[1]:
        is_extreme = f"exists (select from pg_catalog.unnest(s) as u(x) where pg_catalog.abs(u.x)>'{LIMIT}')"
        sets[0] = f"if {is_extreme} then\n{sets[0]}end if;\n"
    else:
        del sets[0]
    return f"{declared}begin\nif s is null then return null; end if;\n{trees}{''.join(sets)}end\n"


def _explanations(
    explanation: Explanation,
    exact: ExactScores,
    place: dict[int, int],
    columns: Columns,
    calculator: Calculator,
    bound: float,
) -> str:
    """Return the function's value, where no slot is greater than the bound."""
    sets = []
    for number, (label, expected) in enumerate(zip(explanation.labels, exact.expected.tolist(), strict=True)):
        terms = _terms(exact, number, place, calculator, bound)
        parts = []
        for source, name in enumerate(explanation.names):
            if columns.leaf:
                sizes = sum(abs(row[number]) for row in columns.values)
                terms[source].append(Value(f"t[{number + 1}][{source + 1}]", -sizes, sizes, nullable=False))
            total = calculator.sum(terms[source]).sql if terms[source] else "0"
            parts.append(f"{sql_names.text(name)},{total}")
        shown = f"'label',{sql_names.text(label)}," if label else ""
        sets.append(
            f"'label{number}',{BUILD}({shown}'expected_value',{literals.double(expected)}::{DOUBLE},"
            f"'shap_values',{_objects(parts)})"
        )
    about = f"'method','{explanation.method}','unit','{explanation.unit}'"
    return f"{BUILD}({about},'explanations',{_objects(sets)})"


def _terms(
    exact: ExactScores, number: int, place: dict[int, int], calculator: Calculator, bound: float
) -> dict[int, list[Value]]:
    """Return by input what is added up to its value of a score: linear terms, and points of tables."""
    terms: dict[int, list[Value]] = defaultdict(list)
    for slot, weight in exact.terms[number].slots.items():
        value = Value(f"s[{place[slot]}]", -bound, bound)
        shifted = calculator.subtract(value, constant(float(exact.means[slot])))
        for source in exact.sums.sources[slot]:
            terms[source].append(calculator.multiply(shifted, constant(weight)))
    for key, explainer in exact.explainers.items():
        if isinstance(explainer, TableExplainer):
            outputs = range(explainer.step.width)
            weights = np.array([exact.terms[number].trees.get((key, output), 0.0) for output in outputs])
            for slot, points in explainer.lookups(weights, place):
                for source in exact.sums.sources[slot]:
                    terms[source].append(points)
    return terms


def _objects(pairs: list[str]) -> str:
    """Return one jsonb object; a function takes 100 arguments, so of many pairs several are put together."""
    groups = [pairs[start : start + 45] for start in range(0, len(pairs), 45)]
    return "(" + "||".join(f"{BUILD}({','.join(group)})" for group in groups) + ")"


def _tree_query(columns: Columns, n_inputs: int, n_scores: int) -> str:
    """Return the statement that sets t[score][input]."""
    points, weights = np.polynomial.legendre.leggauss((columns.longest + 1) // 2)
    logs = [
        f"pg_catalog.ln(nullif(share+{literals.double((point + 1) / 2)}*(known-share),'0'))"
        for point in points
    ]
    sums = ",".join(f"pg_catalog.sum({log}) as l{k}" for k, log in enumerate(logs))
    products = "+".join(
        f"{literals.double(weight / 2)}*pg_catalog.exp(l{k}-{log})"
        for k, (weight, log) in enumerate(zip(weights, logs, strict=True))
    )
    values = ",".join(
        f"{_array([row[score] for row in columns.values], DOUBLE)}" for score in range(n_scores)
    )
    names = ",".join(f"v{score}" for score in range(n_scores))
    totals = ",".join(f"coalesce(pg_catalog.sum(part*v{score}),'0') as p{score}" for score in range(n_scores))
    rows = ",".join(f"pg_catalog.array_agg(coalesce(p{score},'0') order by i)" for score in range(n_scores))
    unnest = "pg_catalog.unnest" if n_scores == 1 else "unnest"  # of several arrays it is grammar
    code = "','||s[slot]::bigint::pg_catalog.text||','"
    return f"""with e as materialized (
select leaf,source,share,(case when s[slot] is null then missing
when inside<>'' then position({code} in inside)>0
else s[slot]>=low and s[slot]<high and (outside='' or position({code} in outside)=0)
end)::integer::{DOUBLE} as known
from unnest({_array(columns.leaf, "bigint")},{_array(columns.slot, "integer")},
{_array(columns.source, "integer")},{_array(columns.low, DOUBLE)},{_array(columns.high, DOUBLE)},
{_texts(columns.inside)},{_texts(columns.outside)},
{_array(columns.missing, "boolean")},{_array(columns.share, DOUBLE)}
) as c(leaf,slot,source,low,high,inside,outside,missing,share)
),l as (
select leaf,{sums} from e group by leaf having not pg_catalog.bool_or(share='0' and known='0')
),v as (
select * from {unnest}({values}) with ordinality as c({names},leaf)
),p as (
select source,{totals} from (
select e.source,(known-share)*({products}) as part,{names}
from e join l using (leaf) join v using (leaf)
) as q group by source
)
select array[{rows}] into t
from pg_catalog.generate_series(1,{n_inputs}) as i left join p on source=i;
"""


def _array(values: list[int] | list[float] | list[bool], kind: str) -> str:
    if kind == DOUBLE:
        texts = ["NaN" if value != value else literals.double(value)[1:-1] for value in values]
    else:
        texts = [str(value).lower() for value in values]
    return f"'{{{','.join(texts)}}}'::{kind}[]"


def _texts(values: list[str]) -> str:
    quoted = ",".join(f'"{value}"' for value in values)
    return f"'{{{quoted}}}'::pg_catalog.text[]"
