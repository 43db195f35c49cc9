"""Which runtime computes the predictions, and the functions in it.

Input: the scoring program, the configured runtime, and what the server lacks for each runtime. Output:
`ChosenRuntime`, or an error that says what stands in the way of every runtime that was asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from postgres_ml.contract.exceptions import SpecError, UnsupportedModelError
from postgres_ml.contract.model import FunctionBody
from postgres_ml.generate import GeneratedFunctions, generate_native, generate_sql
from postgres_ml.generate.sql.words import check_encoding
from postgres_ml.program.program import Program

Generator = Callable[[Program, str, str, Program | None], GeneratedFunctions]

#: by name, the fastest first: the order in which `auto` tries them
GENERATORS: dict[str, Generator] = {"native": generate_native, "sql": generate_sql}


@dataclass(frozen=True)
class ChosenRuntime:
    """A program's functions in one runtime.

    Parameters
    ----------
    name : 'native', 'sql', 'python' or 'endpoint'
    reason : why this one, in words that follow 'runtime sql: '
    generated : the functions
    """

    name: str
    reason: str
    generated: GeneratedFunctions

    def with_functions(self, more: tuple[FunctionBody, ...]) -> ChosenRuntime:
        """Return the same with functions after its own."""
        functions = (*self.generated.functions, *more)
        return dataclasses.replace(self, generated=dataclasses.replace(self.generated, functions=functions))

    @property
    def messages(self) -> tuple[str, ...]:
        """Lines for log and card: which runtime and why, then what its generator says."""
        return (f"runtime {self.name}: {self.reason}", *self.generated.messages)


def choose_runtime(
    program: Program,
    schema: str,
    function: str,
    *,
    requested: str,
    lacking: Mapping[str, str],
    rule: Program | None = None,
    encoding: str = "UTF8",
) -> ChosenRuntime:
    """Return the functions in the runtime that is requested, or in the first one that works for 'auto'.

    Parameters
    ----------
    schema, function : where the functions go, unquoted
    requested : 'auto' or a runtime's name
    lacking : for each runtime that the server can't run, why; in words
    rule : whether a row is an anomaly, beside the score; None where nothing says so
    encoding : of the database

    Raises
    ------
    UnsupportedModelError
        The server runs the runtime, but the program can't be expressed in it: too large, say.
    SpecError
        The server can't run what is requested, or the function's name is too long.
    """
    if requested != "auto":
        if requested in lacking:
            raise SpecError(
                f"runtime {requested}: {lacking[requested]}; use runtime: auto, or one that the server has"
            )
        if requested == "sql":
            check_encoding(program, encoding)
        generated = GENERATORS[requested](program, schema, function, rule)
        return ChosenRuntime(requested, "as configured", generated)
    obstacles: list[str] = []
    refusal: UnsupportedModelError | None = None
    for name, generate in GENERATORS.items():
        if name in lacking:
            obstacles.append(lacking[name])
            continue
        try:
            if name == "sql":
                check_encoding(program, encoding)
            generated = generate(program, schema, function, rule)
        except UnsupportedModelError as error:
            refusal = error
            obstacles.append(f"{name} can't: {error.estimator}, {error.detail}")
            continue
        return ChosenRuntime(name, "; ".join(obstacles) or "the fastest, and the server has it", generated)
    assert refusal is not None, "sql needs nothing of a server"
    if not lacking:
        raise refusal
    also = "; ".join(f"runtime {name} was not tried, because {why}" for name, why in lacking.items())
    raise UnsupportedModelError(refusal.estimator, refusal.detail, f"{refusal.hint} ({also})") from refusal
