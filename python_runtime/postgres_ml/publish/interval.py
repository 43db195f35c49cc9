"""The functions of a regression's interval: the part that scales errors, and `<function>_interval`.

Input: `Interval` and the runtime with the prediction function. Output: function bodies.
"""

from __future__ import annotations

from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import FunctionBody
from postgres_ml.evaluate.intervals import Interval
from postgres_ml.generate.interval import interval_function
from postgres_ml.generate.native import generate_native_part
from postgres_ml.generate.sql.generate import generate_part
from postgres_ml.lower import parse_pipeline
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.publish.runtime import ChosenRuntime

PART = "interval_scale"


def interval_functions(
    interval: Interval, job: TrainingJob, runtime: ChosenRuntime
) -> tuple[FunctionBody, ...]:
    """Return the functions to publish beside the runtime's own, parts first.

    The scale runs as native code where the prediction does, else as SQL, which every server has.
    """
    schema, function = job.spec.schema, job.spec.function
    functions = runtime.generated.functions
    predict = next(body for body in functions if body.role == "predict")
    if interval.scale is None:
        return (interval_function(predict, schema, interval.factor),)
    program = parse_pipeline(interval.scale, inputs_of(job.arguments), "double precision")
    parts: tuple[FunctionBody, ...]
    if runtime.name == "native":
        parts = (generate_native_part(program, schema, function, PART),)
    else:
        parts = generate_part(program, schema, function, PART, functions)
    bounds = interval_function(predict, schema, interval.factor, parts[-1], interval.least, interval.most)
    return (*parts, bounds)
