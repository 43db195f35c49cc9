"""`<function>_interval`: bounds around the prediction, from the prediction function itself.

Input: the prediction function, the part that scales its errors, and numbers. Output: a body in plpgsql, the
same in every runtime. Exactness: one multiplication, one addition and one subtraction of doubles, in the
order of `evaluate.intervals.Interval.bounds`; limits are compared, which rounds nothing.
"""

from __future__ import annotations

from postgres_ml.contract import sql_names
from postgres_ml.contract.model import STABLE_OPTIONS, FunctionBody
from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE

SUFFIX = "interval"


def interval_function(
    predict: FunctionBody,
    schema: str,
    factor: float,
    scale: FunctionBody | None = None,
    least: float = 1.0,
    most: float = 1.0,
) -> FunctionBody:
    """Return the function: jsonb with lower and upper, NULL where the prediction is.

    Parameters
    ----------
    predict : the prediction function
    schema : of the functions, unquoted
    factor : half of the width where the scale is 1
    scale : the part that predicts a row's scale, from the same arguments; None where it is 1 in all rows
    least, most : limits of the scale, which is `most` where the part returns NULL
    """
    places = ",".join(f"${number}" for number in range(1, len(predict.arguments) + 1))
    half = f"{literals.double(factor)}::{DOUBLE}"
    if scale is not None:
        low, high = (f"{literals.double(limit)}::{DOUBLE}" for limit in (least, most))
        found = f"coalesce({_qualified(schema, scale)}({places}),{high})"
        half += f"*least(greatest({found},{low}),{high})"
    body = (
        f"declare\np {DOUBLE} := {_qualified(schema, predict)}({places});\nh {DOUBLE};\nbegin\n"
        "if p is null or p='NaN' then return null; end if;\n"
        f"h := {half};\n"
        f"return pg_catalog.jsonb_build_object('lower',{_sum('-')},'upper',{_sum('+')});\nend\n"
    )
    is_stable = "immutable" not in predict.options
    return FunctionBody(
        "interval",
        f"{predict.name}_{SUFFIX}",
        predict.arguments,
        "jsonb",
        "plpgsql",
        "\n" + body,
        predict.composite,
        STABLE_OPTIONS if is_stable else FunctionBody.options,
    )


def _sum(operator: str) -> str:
    """Return p plus or minus h, infinite where it overflows, which Postgres's operator refuses.

    Of halves it doesn't overflow. Where half of p or h could vanish, it is too small to change the other.
    """
    halves = f"p*'0.5'{operator}h*'0.5'"
    return (
        f"case when pg_catalog.abs(p)<='8e307' and h<='8e307' then p{operator}h when h<'1e280' then p "
        f"when pg_catalog.abs(p)<'1e280' then {operator}h "
        f"when pg_catalog.abs({halves})<'8.98846567431158e307' then ({halves})*'2' "
        f"else ({halves})*'Infinity' end"
    )


def _qualified(schema: str, body: FunctionBody) -> str:
    return f"{sql_names.identifier(schema)}.{sql_names.identifier(body.name)}"
