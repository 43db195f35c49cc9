"""Bodies of random scoring programs as the fuzzer's first corpus: no header, role byte in front."""

import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "python_runtime"), str(ROOT / "tests")]

from native.programs import random_program  # noqa: E402
from postgres_ml.generate.native.body import write_body  # noqa: E402
from postgres_ml.program.program import BinaryLabel, ClusterLabel, MulticlassLabel, Program  # noqa: E402

HEADER_SIZE = 16
MAX_BYTES = 16384


def variants(program: Program) -> list[tuple[int, Program]]:
    """Return the program with each kind of output, and the role to write it for."""
    last = program.output.slot  # type: ignore[union-attr]
    binary = BinaryLabel(("no", "yes"), last, ">=", 0.5, (last, last - 1))
    multiclass = MulticlassLabel((1, 2, 3), (last, last - 1, last - 2), (last, last - 1, last - 2))
    cluster = ClusterLabel((0, 1), (last, last - 1))
    outputs = [(0, program.output), (1, binary), (0, multiclass), (0, cluster)]
    return [(role, replace(program, output=output)) for role, output in outputs]


def main(directory: Path) -> None:
    """Write the corpus."""
    directory.mkdir(exist_ok=True)
    for seed in range(200):
        role, program = variants(random_program(seed, exact=seed % 2 == 0, n_steps=4))[seed % 4]
        content = write_body(program, ("predict", "probabilities")[role])[HEADER_SIZE:]
        if len(content) < MAX_BYTES:
            (directory / f"seed-{seed}").write_bytes(bytes([role]) + content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
