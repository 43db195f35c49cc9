"""Limits that a role, a database or the server sets a session: which one an error tells of, and its cure.

Postgres translates its messages (`lc_messages`), so that errors are known by SQLSTATE.
"""

from __future__ import annotations

import psycopg2

RAISE = (
    "{0} of the role, the database or a pooler ended it: raise it for the role that dbt connects as "
    "(alter role … set {0} = …), or for this model by a pre_hook (set {0} = …)"
)
READ_ONLY = (
    "the session may only read: turn default_transaction_read_only off for the role or the database, or "
    "connect to the primary server"
)
CURES = {
    "25P03": RAISE.format("idle_in_transaction_session_timeout"),
    "25P04": RAISE.format("transaction_timeout"),
    "57P05": RAISE.format("idle_session_timeout"),
    "55P03": "another session holds a lock: end its transaction, or raise lock_timeout for the role that dbt "
    "connects as (alter role … set lock_timeout = …)",
    "57014": RAISE.format("statement_timeout"),
    "53400": "the query sorts or joins more than temp_file_limit allows: select less, raise work_mem, or "
    "have a superuser raise temp_file_limit for the role that dbt connects as",
    "53300": "all connections of the server are taken: run fewer threads or clients, raise max_connections",
    "25006": READ_ONLY,
}
# psycopg2 loses the server's last words where they come amid a COPY
LOST = (
    "the connection was ended: the server restarted, or a transaction_timeout of the role or the limit of a "
    "pooler ended it, which the server's log says. Raise it (alter role … set transaction_timeout = …), or "
    "build again"
)
CANCELLED = "due to user request"  # pg_cancel_backend has the SQLSTATE of statement_timeout


def cure(error: psycopg2.Error) -> str:
    """Return which limit an error comes from and what to do about it; empty if it comes from none."""
    if error.pgcode == "57014" and CANCELLED in str(error):
        return ""
    if error.pgcode is None and isinstance(error, psycopg2.OperationalError):
        return LOST
    return CURES.get(error.pgcode or "", "")


def explained(error: psycopg2.Error) -> str:
    """Return an error's text, with the cure if a limit caused it."""
    return "\n".join(filter(None, [str(error).strip(), cure(error)]))
