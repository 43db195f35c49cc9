"""What is published of a fitted pipeline: a program's functions, or the pipeline itself.

Input: the pipeline, its columns, and what the server lacks. Output: `Deployment`. A pipeline that can be
lowered runs as native code or SQL; any other in the server's own Python (runtime python).
"""

from __future__ import annotations

import dataclasses
import io
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column, padded, singles
from postgres_ml.contract.exceptions import StorageError, UnsupportedModelError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import ArtifactFile, DeployedFunctions, Details, FunctionBody
from postgres_ml.evaluate.anomalies import has_rule
from postgres_ml.generate import generate_python
from postgres_ml.lower import parse_anomaly_rule, parse_pipeline
from postgres_ml.program.program import Input, Program
from postgres_ml.program.serialize import program_to_json
from postgres_ml.publish.runtime import ChosenRuntime, choose_runtime
from postgres_ml.serve import unpack
from postgres_ml.serve.artifact import Artifact, has_centers, pack

TIMED_ROWS = 30


@dataclass(frozen=True)
class Deployment:
    """A fitted pipeline as functions.

    Parameters
    ----------
    program : None where the pipeline can't be lowered
    runtime : the functions, and why in this runtime
    artifact : what they need in the catalog; None but for runtime python
    """

    program: Program | None
    runtime: ChosenRuntime
    artifact: ArtifactFile | None = None

    @property
    def details(self) -> Details | None:
        """What a function beside the prediction tells of a row; None where there is none."""
        roles = {body.role for body in self.runtime.generated.functions}
        return next((name for name in get_args(Details) if name in roles), None)

    def with_functions(self, more: tuple[FunctionBody, ...]) -> Deployment:
        """Return the same with functions after its own."""
        return dataclasses.replace(self, runtime=self.runtime.with_functions(more))

    def functions(self, parity_file: Path, columns: Sequence[Column]) -> DeployedFunctions:
        """Return what the adapter publishes, with the rows to check it by.

        Parameters
        ----------
        columns : of the query, or as the config and MLflow type them
        """
        generated = self.runtime.generated
        blanks, reals = padded(columns), singles(columns)
        return DeployedFunctions(
            functions=tuple(
                dataclasses.replace(body, padded=blanks, singles=reals) for body in generated.functions
            ),
            runtime=self.runtime.name,
            runtime_reason=self.runtime.reason,
            n_nodes=generated.n_nodes,
            est_rows_per_s=generated.est_rows_per_s,
            artifact=self.artifact,
            parity_file=str(parity_file),
        )


def deploy(
    job: TrainingJob,
    pipeline: Any,
    columns: Sequence[Column],
    returns: str,
    labels: Sequence[Any] | None,
    sample: pd.DataFrame,
) -> Deployment:
    """Return the pipeline's functions in the runtime that the config asks for, or in the first that works.

    Parameters
    ----------
    columns : of the frame that the pipeline predicts from: the arguments
    returns : SQL type of the prediction
    labels : what the columns of predict_proba are of; None where there is no predict_proba
    sample : some rows

    Raises
    ------
    UnsupportedModelError, SpecError
        No runtime that the server has, or the one that is asked for, can run it.
    """
    spec, lacking = job.spec, job.lacking
    program: Program | None = None
    try:
        program = parse_pipeline(pipeline, inputs_of(columns), returns)
        if spec.runtime != "python":
            runtime = choose_runtime(
                program,
                spec.schema,
                spec.function,
                requested=spec.runtime,
                lacking=lacking,
                rule=parse_anomaly_rule(pipeline, inputs_of(columns)) if has_rule(pipeline) else None,
                encoding=job.encoding,
            )
            return Deployment(program, runtime)
        reason = "as configured"
    except UnsupportedModelError as error:
        if spec.runtime not in ("auto", "python") or "python" in lacking:
            raise _without_python(error, spec.runtime, lacking) from error
        reason = (
            "as configured"
            if spec.runtime == "python"
            else f"no program for {error.estimator}, {error.detail}"
        )
    artifact = pack(pipeline, columns, returns, labels, sample)
    details: Details | None = "distances" if has_centers(pipeline) else None
    if has_rule(pipeline):
        details = "is_anomaly"
    if labels is not None:
        details = "probabilities"
    return publish_artifact(job, artifact, columns, returns, details, reason, program, sample)


def evaluated_program(
    program: Program | None, pipeline: Any, evaluated: Any, job: TrainingJob, returns: str
) -> str | None:
    """Return the scoring program, as JSON, of the pipeline that never saw the hold-out; None without one.

    Parameters
    ----------
    program, pipeline : what is published
    evaluated : fitted without the hold-out; the same object where there was no refit
    """
    if program is None:
        return None
    if evaluated is not pipeline:
        program = parse_pipeline(evaluated, inputs_of(job.arguments), returns)
    return program_to_json(program)


def inputs_of(columns: Sequence[Column]) -> tuple[Input, ...]:
    """Return the function's arguments as a program reads them."""
    return tuple(Input(column.name, column.sql_type, column.kind) for column in columns)


def _without_python(
    error: UnsupportedModelError, requested: str, lacking: Mapping[str, str]
) -> UnsupportedModelError:
    if requested in ("native", "sql") or "python" not in lacking:
        return error
    hint = f"runtime python could run it, but {lacking['python']}"
    return UnsupportedModelError(error.estimator, error.detail, hint)


def publish_artifact(
    job: TrainingJob,
    artifact: Artifact,
    columns: Sequence[Column],
    returns: str,
    details: Details | None,
    reason: str,
    program: Program | None,
    sample: pd.DataFrame,
) -> Deployment:
    """Return the functions that ask the artifact, which is written into the job's folder.

    Raises
    ------
    StorageError
        The file can't be written.
    """
    path = Path(job.directory) / "artifact.zip"
    try:
        path.write_bytes(artifact.content)
    except OSError as error:
        raise StorageError(f"the packed pipeline can't be written to {path}: {error.strerror}") from error
    generated = generate_python(
        columns,
        returns,
        job.spec.schema,
        job.spec.function,
        sha256=artifact.sha256,
        python_path=job.server_python_path,
        details=details,
        est_rows_per_s=rows_per_second(artifact, columns, sample),
    )
    file = ArtifactFile(str(path), artifact.sha256, artifact.python, artifact.modules)
    return Deployment(program, ChosenRuntime("python", reason, generated), file)


def rows_per_second(artifact: Artifact, columns: Sequence[Column], sample: pd.DataFrame) -> int:
    """Return predictions a second, one by one, of the artifact as it was packed; one digit of it counts."""
    loaded = unpack.load(zipfile.ZipFile(io.BytesIO(artifact.content)))
    names = [column.name for column in columns]
    rows = sample[names].head(TIMED_ROWS).astype(object).to_numpy().tolist() or [[None] * len(names)]
    rows = [[None if cell is None or cell != cell else cell for cell in row] for row in rows]
    loaded.predict(rows[0])
    started = time.perf_counter()
    for row in rows:
        loaded.predict(row)
    speed = len(rows) / max(time.perf_counter() - started, 1e-9)
    return max(int(float(np.format_float_positional(speed, precision=1, fractional=False))), 1)
