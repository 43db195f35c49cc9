"""The process that builds one model for a worker: `python -m dbt.adapters.postgres_ml.worker.child`.

It imports dbt, says so, and waits for its task on stdin, one JSON object in a line; so it can be started
before there is a task. Events go to stdout as lines of JSON, what dbt prints to stderr. The end of stdin
means that the worker has died, or called the job off: the build is interrupted as by Ctrl-C, and ends within
seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import IO, Any

from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.process import fork_server

PATIENCE_S = 1.5  # for dbt to cancel the training, which marks its MLflow run


class Events:
    """Writes events for the worker.

    Parameters
    ----------
    file : stdout as the worker sees it

    Attributes
    ----------
    errors : what dbt has logged as errors; of an operation it says nothing else
    """

    def __init__(self, file: IO[str]) -> None:
        self._file, self._lock = file, threading.Lock()
        self.errors: list[str] = []

    def say(self, event: str, **fields: Any) -> None:
        """Write an event; a worker that is gone hears nothing, and the end of stdin ends this process."""
        with self._lock:
            try:
                self._file.write(json.dumps({"event": event, **fields}, default=str) + "\n")
                self._file.flush()
            except BrokenPipeError:
                return


def main() -> int:
    """Run the one task that comes on stdin; return 0 if its build was a success."""
    events = Events(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    import dbt.adapters.postgres_ml  # noqa: F401  # imported now, so that the task needn't wait for it
    from dbt.cli.main import dbtRunner

    if uri := os.environ.get(TRACKING_URI):
        fork_server.prepare(uri)
    events.say("warm")
    line = sys.stdin.readline()
    if not line:
        return 0
    task = json.loads(line)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    os.environ.update(task["environment"])
    runner = dbtRunner(callbacks=[lambda event: _relay(events, event)])
    result = runner.invoke(task["arguments"])
    events.say("done", **_outcome(result, events.errors))
    return 0 if result.success else 1


def _end_with_stdin() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(PATIENCE_S)
    os._exit(130)


def _relay(events: Events, event: Any) -> None:
    """Pass a line of the adapter's on, with its fields; keep errors."""
    if event.info.level == "error":
        events.errors.append(event.info.msg)
    if not event.info.name.startswith("AdapterEvent"):
        return
    from google.protobuf.json_format import MessageToDict

    args = MessageToDict(event.data).get("args", [])
    if len(args) == 3 and isinstance(args[2], dict):  # as NodeBuild.log writes them
        events.say("progress", level=event.info.level, text=args[1], fields=args[2])


def _outcome(result: Any, errors: list[str]) -> dict[str, Any]:
    """Return what became of the build: success, message, and what the node said of itself."""
    nodes = getattr(result.result, "results", None) or []
    responses = [getattr(node, "adapter_response", None) or {} for node in nodes]
    failed = [node.message for node in nodes if str(node.status) not in ("success", "pass") and node.message]
    said = [*failed, *([str(result.exception)] if result.exception else []), *errors]
    text = "" if result.success or not said else said[0]
    return {"success": bool(result.success), "message": text, "response": responses[0] if responses else {}}


if __name__ == "__main__":
    raise SystemExit(main())
