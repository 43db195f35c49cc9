"""What all tests of training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import threadpoolctl


@pytest.fixture(autouse=True, scope="module")
def _one_thread_for_each_product() -> Iterator[None]:
    """Compute as a training process does (`process.environment`): threads of the search share no pools.

    Threads of OpenBLAS that wait for each other on a busy machine compute: an epoch then took 14 times the
    processor's time, and the search found none for a network.
    """
    with threadpoolctl.threadpool_limits(1):
        yield
