"""Child processes that build models: started before they are needed, told their task, ended with it.

A child that has imported dbt waits for the next task, which saves the task seconds. A child does one task.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from postgres_ml.contract.job import TRACKING_URI

COMMAND = (sys.executable, "-P", "-m", "dbt.adapters.postgres_ml.worker.child")
if sys.version_info < (3, 11):
    COMMAND = (sys.executable, "-m", "dbt.adapters.postgres_ml.worker.child")
KILL_S = 2.0  # after which a child that was told to end is killed: cancel() has to be done in 3 s
MAX_LINE = 2**24  # bytes: an error message can hold a statement
LAST_BYTES = 4000


@dataclass
class Child:
    """One process.

    Parameters
    ----------
    process : its own session, so that a Ctrl-C in the worker's terminal does not reach it
    """

    process: asyncio.subprocess.Process
    _last: bytearray = field(default_factory=bytearray)
    _errors: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, tracking_uri: str = "") -> Child:
        """Start a child, which imports dbt; with a tracking store it starts a training process, too."""
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
            start_new_session=True,
            env={
                **os.environ,
                **({TRACKING_URI: tracking_uri} if tracking_uri else {}),
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                "PYTHONUNBUFFERED": "1",
            },
        )
        child = cls(process)
        child._errors = asyncio.create_task(child._drain())
        return child

    async def run(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> AsyncIterator[dict[str, Any]]:
        """Give the child its task and yield its events until it ends."""
        assert self.process.stdin is not None and self.process.stdout is not None
        task = json.dumps({"arguments": list(arguments), "environment": dict(environment)})
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(task.encode() + b"\n")
            await self.process.stdin.drain()
        while line := await self.process.stdout.readline():
            with contextlib.suppress(ValueError):
                yield json.loads(line)
        await self.process.wait()

    async def _drain(self) -> None:
        """Keep the last of what dbt and its libraries print: the reason where the child just dies."""
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(65536):
            self._last += data
            del self._last[:-LAST_BYTES]

    async def end(self) -> None:
        """End the child and its training within seconds, whatever they do."""
        if self.process.stdin is not None:
            self.process.stdin.close()  # which it takes as Ctrl-C
        try:
            await asyncio.wait_for(self.process.wait(), KILL_S)
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()
        if self._errors is not None:
            self._errors.cancel()

    @property
    def death(self) -> str:
        """How a child ended that said nothing."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"the process that trained was killed by signal {-code}" + (
                ", by the system for its use of memory or by somebody" if code == -signal.SIGKILL else ""
            )
        last = self._last.decode("utf-8", "replace").strip().splitlines()
        return f"the process that trained ended with code {code}: {last[-1] if last else 'it said nothing'}"


class Spare:
    """Holds one child that is warm already; the next is started when this one is taken.

    Parameters
    ----------
    tracking_uri : of the store that its training will write
    """

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._starting: asyncio.Task[Child] | None = None

    def prepare(self) -> None:
        """Start a child to be taken later."""
        if self._starting is None:
            self._starting = asyncio.create_task(Child.start(self._tracking_uri))

    async def take(self) -> Child:
        """Return the child, or a new one if it has died meanwhile or could not be started.

        Raises
        ------
        OSError
            The new one can't be started either.
        """
        self.prepare()
        starting, self._starting = self._starting, None
        assert starting is not None
        try:
            child = await starting
        except OSError:  # what was short when it was prepared may be there now
            return await Child.start(self._tracking_uri)
        if child.process.returncode is not None:
            return await Child.start(self._tracking_uri)
        return child

    async def end(self) -> None:
        """End the child that nobody took."""
        if self._starting is not None:
            with contextlib.suppress(OSError):  # it could not be started
                await (await self._starting).end()
