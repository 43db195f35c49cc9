"""Placing the native library in an embedded server's directory, where dbt's threads come at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from postgres_ml.publish.native_extension import place_library

N_THREADS = 8


def test_threads_place_it_at_the_same_time(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    library = tmp_path / "plmodel-18.so"
    library.write_bytes(content)
    for number in range(20):
        directory = tmp_path / str(number)
        directory.mkdir()
        barrier = Barrier(N_THREADS)

        def place(_: int, directory: Path = directory, barrier: Barrier = barrier) -> str:
            barrier.wait()
            return place_library(library, directory)

        with ThreadPoolExecutor(N_THREADS) as threads:
            (name,) = set(threads.map(place, range(N_THREADS)))
        (placed,) = directory.iterdir()
        assert name == f"../{placed.name}" and placed.read_bytes() == content
