"""Writes the functions of a remote model: its signature, and the client that calls it.

Input: the endpoint and the arguments. Output: function bodies. Runs in dbt's process: standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

from postgres_ml.contract.column import Column, as_arguments, padded, singles
from postgres_ml.contract.config import Endpoint
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.contract.model import ENDPOINT_OPTIONS, FunctionBody
from postgres_ml.contract.sql_names import MAX_ARGUMENTS, helper_name, text
from postgres_ml.endpoint import client, messages, scrub, sigv4, transport

LOADER = """\
import builtins, plpy
from __main__ import GD
key = ("postgres_ml_endpoint", ABOUT)
if key not in GD:
    import json, sys, types
    def read_secret(about):
        row = plpy.execute(QUERY, 1)
        if row:
            return json.loads(row[0]["secret"])
        return {} if about["is_loopback"] and not about["secret"] else None
    known = builtins.dict(sys.modules)
    for name, source in SOURCES:  # each imports those before it
        module = sys.modules[name] = types.ModuleType(name)
        builtins.exec(builtins.compile(source, "<" + name + " in the function>", "exec"), module.__dict__)
    for name, _ in SOURCES:  # another function may have other sources under these names
        sys.modules.pop(name)
        if name in known:
            sys.modules[name] = known[name]
    about = json.loads(ABOUT)
    sleep = lambda seconds: plpy.execute("select pg_sleep(" + builtins.repr(seconds) + ")")
    GD[key] = module, module.Client(about, lambda: read_secret(about), sleep)
module, client = GD[key]
try:
    return client.CALL
except module.EndpointError as error:
    plpy.error(builtins.str(error), hint=error.hint or None, sqlstate=error.sqlstate)
"""


def generate_endpoint(
    endpoint: Endpoint, columns: Sequence[Column], returns: str, schema: str, function: str, is_loopback: bool
) -> tuple[FunctionBody, ...]:
    """Return `<function>`, which sends a row, and `_<function>__batch`, which predict_table calls.

    Parameters
    ----------
    columns : the arguments
    returns : SQL type of the prediction
    schema, function : where the functions go, unquoted
    is_loopback : whether the host is the database's own machine, which may be called without a row in
        postgres_ml.endpoint

    Raises
    ------
    SpecError
        More than 100 arguments.
    """
    if len(columns) > MAX_ARGUMENTS:
        raise SpecError(f"a function that calls an endpoint takes at most {MAX_ARGUMENTS} arguments")
    about = {
        **dataclasses.asdict(endpoint),
        "columns": [[column.name, column.sql_type] for column in columns],
        "returns": returns,
        "function": f"{schema}.{function}",
        "is_loopback": is_loopback,
    }
    sources = [
        (module.__name__, Path(module.__file__ or "").read_text(encoding="utf-8"))
        for module in (sigv4, scrub, messages, transport, client)
    ]
    values = {
        "SOURCES": repr(sources),
        "ABOUT": repr(json.dumps(about, ensure_ascii=False)),
        "QUERY": repr(secret_query(endpoint)),
    }

    def body(call: str) -> str:
        return re.sub("SOURCES|ABOUT|QUERY|CALL", lambda m: {**values, "CALL": call}[m[0]], LOADER)

    others = tuple((c.name, "text[]") for c in columns if c.kind not in ("number", "boolean"))
    arguments = tuple((column.name, column.sql_type) for column in as_arguments(columns))
    return (
        FunctionBody("predict", function, arguments, returns, "plpython3u",
                     body("predict(args)"), (), ENDPOINT_OPTIONS, padded(columns), singles(columns)),
        FunctionBody("part", helper_name(function, "batch"), (("numbers", "bytea"), *others), f"{returns}[]",
                     "plpython3u", body("batch(*args)"), (), ENDPOINT_OPTIONS),
    )  # fmt: skip


def secret_query(endpoint: Endpoint) -> str:
    """Return the query of the row that allows the URL: the named one, or that of the longest prefix."""
    url = text(endpoint.url)
    named = f" and name = {text(endpoint.secret)}" if endpoint.secret else ""
    return (
        "select secret::text from postgres_ml.endpoint where "
        f"({url} = url_prefix or starts_with({url}, rtrim(url_prefix, '/') || '/')){named} "
        "order by length(url_prefix) desc"
    )
