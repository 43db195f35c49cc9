"""What a child's end means for its job: ready, failed, or to be tried again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["READY", "FAILED", "again"]
#: a server or a connection that was lost, or a job that another worker took meanwhile: not the model's fault
PASSING = re.compile(
    r"connection was lost|server closed the connection|terminating connection|could not connect|"
    r"connection to server .* failed|the database system is|Connection refused|no connection to the server|"
    r"SSL SYSCALL error|connection already closed|cursor already closed|could not receive data|"
    r"is not this worker's any more|another build published|deadlock detected|embedded Postgres:",
    re.IGNORECASE,
)
#: most likely for its use of memory: worth a second attempt, and no fifth
KILLED = re.compile(r"the training process was (?:killed|ended by)")
HEAD = re.compile(
    r"^\s*(?:\w+ Error in model \S+ \(.*\)|Encountered an error.*|Runtime Error|Database Error)\s*$"
)
TAIL = re.compile(
    r"^\s*(?:CONTEXT:  PL/pgSQL function .*|> in macro .*|> called by .*|compiled code at .*)\s*$"
)


@dataclass(frozen=True)
class Outcome:
    """A verdict and the reason, as the caller reads it."""

    verdict: Verdict
    message: str


def judge(done: dict[str, Any] | None, death: str, attempt: int) -> Outcome:
    """Return what becomes of the job.

    Parameters
    ----------
    done : the child's last event, None where it died
    death : how it ended, where it died
    attempt : counted from 1
    """
    if done is None:
        return Outcome("again", death)
    message = readable(done.get("message") or "")
    response = done.get("response") or {}
    if done["success"]:
        said = str(response.get("_message") or message or "done")
        return Outcome("FAILED" if response.get("is_refused") else "READY", said)
    is_passing = PASSING.search(message) or (attempt == 1 and KILLED.search(message))
    return Outcome("again" if is_passing else "FAILED", message or "the build failed without a message")


def readable(message: str) -> str:
    """Return an error of dbt's without the lines about files that the caller never wrote."""
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not HEAD.match(line) and not TAIL.match(line)]
    return "\n".join(kept)
