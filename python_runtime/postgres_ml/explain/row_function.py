"""`<function>_explain`: the exact Shapley values of one row, in SQL.

A part computes the encoders' slots, as the prediction function does. From them a linear term is arithmetic;
trees stand as constant arrays of their paths' conditions (see `trees.Paths`), and the formula of `trees` is a
query over them, with logarithms in place of products. A path that the row leaves where no background row
stayed counts nothing.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from postgres_ml.contract import sql_names
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.contract.model import FunctionBody
from postgres_ml.explain import ExactScores, Explanation
from postgres_ml.explain.tables import TableExplainer
from postgres_ml.explain.trees import Explainer, Paths
from postgres_ml.generate import literals
from postgres_ml.generate.sql.arithmetic.interval import Value
from postgres_ml.generate.sql.body import Context, header, plpgsql_body
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.generate.sql.generate import make_context

MAX_CONDITIONS = 40_000  # 2 MB of text, a tenth of a second for each row
MAX_PATH = 40  # features; the product of more shares could leave the doubles
DOUBLES = "double precision[]"


@dataclass
class Columns:
    """The conditions of all paths, a value of each list for each (path, feature).

    Parameters
    ----------
    leaf, slot, source : numbers of the path, of the position in the slots' array (from 1), of the input
    low, high : the row fits if low <= slot < high
    inside, outside : codes of categories that fit, or don't, between commas; '' for a number
    missing : whether NULL fits
    share : of the background rows that fit
    values : of each path, one for each score
    longest : features of the longest path
    """

    leaf: list[int]
    slot: list[int]
    source: list[int]
    low: list[float]
    high: list[float]
    inside: list[str]
    outside: list[str]
    missing: list[bool]
    share: list[float]
    values: list[list[float]]
    longest: int = 0


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
    columns = _columns(exact, used)
    slots = context.add_part("slots", context.arguments, DOUBLES, _slots_body(context, used))
    body = _body(explanation, exact, used, columns, context.call(slots))
    name = f"{function}_explain"
    made = FunctionBody(
        "explain", name, context.arguments, "jsonb", "plpgsql", header(name) + body, context.composite
    )
    return (*context.parts.values(), made)


def _slots_body(context: Context, used: list[int]) -> str:
    def result(read: Callable[[int], Value]) -> str:
        return f"array[{','.join(f'({read(slot).sql})::float8' for slot in used)}]::{DOUBLES}"

    return plpgsql_body(context, context.plan(used), result, None)


def _body(explanation: Explanation, exact: ExactScores, used: list[int], columns: Columns, slots: str) -> str:
    place = {slot: position for position, slot in enumerate(used, start=1)}
    sets = []
    for number, (label, expected) in enumerate(zip(explanation.labels, exact.expected.tolist(), strict=True)):
        linear: dict[int, list[str]] = defaultdict(list)
        for slot, weight in exact.terms[number].slots.items():
            for source in exact.sums.sources[slot]:
                shifted = f"(s[{place[slot]}]-{literals.double(float(exact.means[slot]))})"
                linear[source].append(f"{literals.double(weight)}::float8*{shifted}")
        for key, explainer in exact.explainers.items():
            if isinstance(explainer, TableExplainer):
                weights = np.array(
                    [exact.terms[number].trees.get((key, o), 0.0) for o in range(explainer.step.width)]
                )
                for slot, sql in explainer.lookups(weights, place):
                    for source in exact.sums.sources[slot]:
                        linear[source].append(sql)
        parts = []
        for source, name in enumerate(explanation.names):
            terms = [*linear[source], *([f"t[{number + 1}][{source + 1}]"] if columns.leaf else [])]
            parts.append(f"{sql_names.text(name)},{'+'.join(terms) or '0'}")
        shown = f"'label',{sql_names.text(label)}," if label else ""
        sets.append(
            f"'label{number}',jsonb_build_object({shown}'expected_value',{literals.double(expected)}::float8,"
            f"'shap_values',{_objects(parts)})"
        )
    declared = f"declare\ns constant {DOUBLES}:={slots};\nt {DOUBLES};\n"
    trees = _tree_query(columns, len(explanation.names), len(explanation.labels)) if columns.leaf else ""
    return (
        f"{declared}begin\nif s is null then return null; end if;\n{trees}"
        f"return jsonb_build_object('method','{explanation.method}','unit','{explanation.unit}',"
        f"'explanations',{_objects(sets)});\nend\n"
    )


def _objects(pairs: list[str]) -> str:
    """Return one jsonb object; a function takes 100 arguments, so of many pairs several are put together."""
    groups = [pairs[start : start + 45] for start in range(0, len(pairs), 45)]
    return "(" + "||".join(f"jsonb_build_object({','.join(group)})" for group in groups) + ")"


def _tree_query(columns: Columns, n_inputs: int, n_scores: int) -> str:
    """Return the statement that sets t[score][input]."""
    points, weights = np.polynomial.legendre.leggauss((columns.longest + 1) // 2)
    logs = [
        f"ln(nullif(share+{literals.double((point + 1) / 2)}::float8*(known-share),0))" for point in points
    ]
    sums = ",".join(f"sum({log}) as l{k}" for k, log in enumerate(logs))
    products = "+".join(
        f"{literals.double(weight / 2)}::float8*exp(l{k}-{log})"
        for k, (weight, log) in enumerate(zip(weights, logs, strict=True))
    )
    values = ",".join(
        f"{_array([row[score] for row in columns.values], 'float8')}" for score in range(n_scores)
    )
    names = ",".join(f"v{score}" for score in range(n_scores))
    totals = ",".join(f"coalesce(sum(part*v{score}),0) as p{score}" for score in range(n_scores))
    rows = ",".join(f"array_agg(coalesce(p{score},0) order by i)" for score in range(n_scores))
    return f"""with e as materialized (
select leaf,source,share,(case when s[slot] is null then missing
when inside<>'' then position(','||s[slot]::bigint||',' in inside)>0
else s[slot]>=low and s[slot]<high and (outside='' or position(','||s[slot]::bigint||',' in outside)=0)
end)::int as known
from unnest({_array(columns.leaf, "int")},{_array(columns.slot, "int")},{_array(columns.source, "int")},
{_array(columns.low, "float8")},{_array(columns.high, "float8")},
{_texts(columns.inside)},{_texts(columns.outside)},
{_array(columns.missing, "bool")},{_array(columns.share, "float8")}
) as c(leaf,slot,source,low,high,inside,outside,missing,share)
),l as (
select leaf,{sums} from e group by leaf having not bool_or(share=0 and known=0)
),v as (
select * from unnest({values}) with ordinality as c({names},leaf)
),p as (
select source,{totals} from (
select e.source,(known-share)*({products}) as part,{names}
from e join l using (leaf) join v using (leaf)
) as q group by source
)
select array[{rows}] into t
from generate_series(1,{n_inputs}) as i left join p on source=i;
"""


def _array(values: list[int] | list[float] | list[bool], kind: str) -> str:
    if kind == "float8":
        texts = ["NaN" if value != value else literals.double(value)[1:-1] for value in values]
    else:
        texts = [str(value).lower() for value in values]
    return f"'{{{','.join(texts)}}}'::{kind}[]"


def _texts(values: list[str]) -> str:
    quoted = ",".join(f'"{value}"' for value in values)
    return f"'{{{quoted}}}'::text[]"


def _columns(exact: ExactScores, used: list[int]) -> Columns:
    """Return the conditions of all paths.

    Raises
    ------
    UnsupportedModelError
    """
    columns = Columns(*([] for _ in range(10)))  # type: ignore[arg-type]  # ten empty lists
    place = {slot: position for position, slot in enumerate(used, start=1)}
    for number, explainer in exact.explainers.items():
        if isinstance(explainer, TableExplainer):
            continue
        n_conditions = sum(paths.features.size for paths in explainer.paths)
        longest = max((paths.features.shape[1] for paths in explainer.paths), default=0)
        if n_conditions + len(columns.leaf) > MAX_CONDITIONS or longest > MAX_PATH:
            detail = f"trees of {n_conditions:,} conditions, the longest path with {longest}"
            hint = f"at most {MAX_CONDITIONS:,} and {MAX_PATH}: use fewer or shallower trees"
            raise UnsupportedModelError("explain", detail, hint)
        columns.longest = max(columns.longest, longest)
        tests = _Tests(explainer)
        for paths in explainer.paths:
            if paths.features.shape[1] == 0:
                continue
            weights = [
                [term.trees.get((number, o), 0.0) for o in range(explainer.step.width)]
                for term in exact.terms
            ]
            first = len(columns.values)
            columns.values += (paths.values @ np.array(weights).T / explainer.step.divisor).tolist()
            for leaf, feature, share, low, high, inside, outside, missing in tests.of(paths):
                slot = explainer.step.slots[feature]
                columns.leaf.append(first + leaf + 1)
                columns.slot.append(place[slot])
                columns.source.append(next(iter(exact.sums.sources[slot])) + 1)
                columns.share.append(share)
                columns.low.append(low)
                columns.high.append(high)
                columns.inside.append(inside)
                columns.outside.append(outside)
                columns.missing.append(missing)
    return columns


class _Tests:
    """The splits of an ensemble as comparisons of doubles."""

    def __init__(self, explainer: Explainer) -> None:
        step = explainer.step
        self.goes_left = step.category_goes_left
        thresholds = np.array([value for tree in step.trees for value in tree.threshold])
        numeric = np.flatnonzero(np.isfinite(thresholds) | np.isinf(thresholds))
        self.keys = np.zeros(len(thresholds), dtype=np.int64)
        self.keys[numeric], _ = monotone_threshold.crossings(
            (), thresholds[numeric], step.operator, step.split_dtype
        )
        self.default_left = [value for tree in step.trees for value in tree.default_left]
        self.categories = [
            codes for tree in step.trees for codes in tree.categories or (None,) * tree.n_nodes
        ]

    def of(self, paths: Paths) -> Iterator[tuple[int, int, float, float, float, str, str, bool]]:
        """Yield (leaf, feature, share, low, high, inside, outside, missing) of each condition."""
        for position, (leaves, nodes, lefts) in enumerate(paths.conditions):
            asked: dict[int, list[tuple[int, bool]]] = defaultdict(list)
            for leaf, node, left in zip(leaves.tolist(), nodes.tolist(), lefts.tolist(), strict=True):
                asked[leaf].append((node, left))
            for leaf, pairs in asked.items():
                feature, share = int(paths.features[leaf, position]), float(paths.shares[leaf, position])
                yield leaf, feature, share, *self._merged(pairs)

    def _merged(self, pairs: list[tuple[int, bool]]) -> tuple[float, float, str, str, bool]:
        low, high = -monotone_threshold.TOP, monotone_threshold.TOP + 1
        inside: set[int] | None = None
        outside: set[int] = set()
        missing = True
        for node, left in pairs:
            missing = missing and self.default_left[node] == left
            codes = self.categories[node]
            if codes is None:
                key = int(self.keys[node])
                low, high = (low, min(high, key)) if left else (max(low, key), high)
            elif left == self.goes_left:
                inside = set(codes) if inside is None else inside & set(codes)
            else:
                outside |= set(codes)
        if inside is not None:
            inside -= outside
            outside = set()
            listed = ",".join(map(str, sorted(inside)))
            return -np.inf, np.nan, f",{listed},", "", missing
        listed = f",{','.join(map(str, sorted(outside)))}," if outside else ""
        return _value(low), _value(high), "", listed, missing


def _value(key: int) -> float:
    """Return the double of the key; NaN above all of them, which is Postgres's greatest number."""
    return monotone_threshold.value_of(key) if key <= monotone_threshold.TOP else np.nan
