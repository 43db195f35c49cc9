"""Parser and kernels on arm64, by emulation and without a server: the same bits as here and as the interpreter.

Needs a cross compiler and QEMU's user mode emulation; on Debian and Ubuntu `apt-get install gcc-aarch64-linux-gnu
libc6-dev-arm64-cross qemu-user`. On an arm64 machine the machine's own compiler will do.
"""

from __future__ import annotations

import functools
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native.programs import random_program
from native.test_kernels import SHAPES, adversarial_rows, ensemble_program
from postgres_ml.generate.native.body import write_body
from postgres_ml.program import interpret
from support.native_server import load_builder

EXTENSION = Path(__file__).parents[2] / "extension"
SPLITS_AND_SUMS = [("float32", "float32"), ("float64", "float64"), ("float32", "float64")]
N_PROGRAMS = 60
N_ROWS = 60


def toolchain(architecture: str) -> tuple[list[str], list[str]]:
    """Return the compiler's command and what runs a program; skip where there is none."""
    if architecture == "host" or platform.machine() in ("aarch64", "arm64"):
        compiler = load_builder().compiler()
        if compiler is None:
            pytest.skip("no C compiler")
        return [compiler], []
    missing = [name for name in ("aarch64-linux-gnu-gcc", "qemu-aarch64") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found: apt-get install gcc-aarch64-linux-gnu qemu-user")
    return ["aarch64-linux-gnu-gcc", "-static"], ["qemu-aarch64"]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that compiles score.c for an architecture and returns the command that runs it."""

    @functools.cache
    def compiled(architecture: str) -> list[str]:
        compiler, runner = toolchain(architecture)
        flags = [flag for flag in load_builder().FLAGS if flag not in ("-fPIC", "-shared", "-std=gnu99")]
        core = [
            file
            for folder in ("program", "trees")
            for file in sorted((EXTENSION / "src" / folder).glob("*.c"))
            if file.name != "platform.c"  # standalone.c stands in for the server
        ]
        test = EXTENSION / "test"
        own = [
            test / "standalone" / "score.c",
            test / "fuzz" / "standalone.c",
            test / "fuzz" / "hostile_rows.c",
        ]
        output = tmp_path_factory.mktemp(architecture) / "score"
        command = [*compiler, "-std=gnu11", *flags, "-Wall", "-Werror", "-DPLMODEL_STANDALONE"]
        command += [f"-I{EXTENSION / 'src'}", f"-I{test}", f"-I{test / 'fuzz'}"]
        subprocess.run([*command, *own, *core, "-lm", "-o", output], check=True)
        return [*runner, str(output)]

    return compiled


def run(command: list[str], kernel: str, rows: Path | str, bodies: list[Path]) -> tuple[bytes, list[str]]:
    """Return what score writes, and the kernels that it says it used."""
    answer = subprocess.run(
        [*command, kernel, str(rows), *map(str, bodies)], capture_output=True, check=True, timeout=300
    )
    return answer.stdout, answer.stderr.decode().split()


@pytest.mark.parametrize("splits, sums", SPLITS_AND_SUMS)
def test_trees_are_the_interpreters_to_the_last_bit(
    build: Any, tmp_path: Path, splits: str, sums: str
) -> None:
    command = build("arm64")
    for number, shape in enumerate(SHAPES):
        program = ensemble_program(number, shape, splits, sums, vector=shape[4] > 1 and number % 2 == 0)
        rows = adversarial_rows(program, number, N_ROWS)
        theirs = np.array(interpret.predict(program, {f"f{i}": [row[i] for row in rows] for i in range(8)}))
        matrix = np.array([[np.nan if cell is None else cell for cell in row] for row in rows])
        (tmp_path / "rows").write_bytes(matrix.tobytes())
        (tmp_path / "body").write_bytes(write_body(program, "predict"))
        output, kernels = run(command, "auto", tmp_path / "rows", [tmp_path / "body"])
        assert np.frombuffer(output).tobytes() == theirs.astype(float).tobytes(), shape
        assert kernels == ["scalar"]


def test_every_kind_of_step_gives_the_same_bits_as_here(build: Any, tmp_path: Path) -> None:
    emulated, here = build("arm64"), build("host")
    bodies = []
    for seed in range(N_PROGRAMS):
        # the C library decides the last digit of exp and its like, so they are left out
        bodies.append(tmp_path / f"body-{seed}")
        bodies[-1].write_bytes(write_body(random_program(seed, exact=True), "predict"))
    digests, _ = run(emulated, "auto", "-", bodies)
    assert len(set(np.frombuffer(digests, dtype=np.uint64))) > N_PROGRAMS / 2
    for kernel in ("scalar", "avx2", "avx512"):
        assert run(here, kernel, "-", bodies)[0] == digests
