"""`postgres-ml worker status`: the workers that live, and the jobs that wait or run."""

from __future__ import annotations

import sys

from dbt.adapters.postgres_ml.worker.place import Place
from dbt.adapters.postgres_ml.worker.setup import STATE, connect

ALIVE, NONE = 0, 3
WORKERS = """
select id, extract(epoch from now() - last_heartbeat)::float8 as age from procrastinate_workers order by id
"""
JOBS = "select job, model, attempt from postgres_ml.unfinished_jobs()"


def status(place: Place, stalled_s: float) -> int:
    """Print a line for each worker and each job; return 0 if a worker lives, 3 if none does."""
    with connect(place) as connection:
        state = connection.execute(STATE).fetchone()
        if state is None or not (state["has_catalog"] and state["has_queue"]):
            sys.stdout.write(f"{place.name}: no worker has ever run here\n")
            return NONE
        workers = connection.execute(WORKERS).fetchall()
        jobs = connection.execute(JOBS).fetchall()
    living = 0
    for worker in workers:
        age = float(str(worker["age"]))
        is_alive = age <= stalled_s
        living += is_alive
        sys.stdout.write(
            f"worker {worker['id']}: {'alive' if is_alive else 'dead'}, heartbeat {age:.0f} s ago\n"
        )
    for job in jobs:
        state_text = "waits" if job["attempt"] == 0 else f"runs or waits, attempt {job['attempt']}"
        sys.stdout.write(f"job {job['job']}: {job['model']} {state_text}\n")
    sys.stdout.write(f"{place.name}: {living} workers live, {len(jobs)} jobs are not done\n")
    return ALIVE if living else NONE
