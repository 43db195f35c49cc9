"""The parity rows that a database can hold: one that isn't in UTF-8 lacks characters of the hostile texts."""

from __future__ import annotations

from pathlib import Path

from postgres_ml.snapshot.copy import Cursor

UNLIMITED = ("UTF8", "SQL_ASCII")


def keep_encodable(cursor: Cursor, parity_file: Path) -> None:
    """Take the rows with a character that the database's encoding lacks out of the file.

    No argument of the function can have such a character. Needs an open transaction.
    """
    if cursor.connection.get_parameter_status("server_encoding") in UNLIMITED:
        return
    text = parity_file.read_text(encoding="utf-8")
    lacking = {character for character in set(text) if not _has(cursor, character)}
    if lacking:
        rows = [row for row in text.split("\n")[:-1] if lacking.isdisjoint(row)]
        parity_file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8", newline="\n")


def _has(cursor: Cursor, character: str) -> bool:
    if character.isascii():
        return True
    cursor.execute("savepoint postgres_ml_encodable")
    try:
        cursor.execute("select %s", (character,))
    except cursor.connection.DataError:
        cursor.execute("rollback to savepoint postgres_ml_encodable")
        return False
    cursor.execute("release savepoint postgres_ml_encodable")
    return True
