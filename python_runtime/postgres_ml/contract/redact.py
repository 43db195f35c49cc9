"""Takes credentials out of texts that people read: log lines, errors, files.

Standard library only: both the adapter and the training process use it.
"""

from __future__ import annotations

import re

HIDDEN = "***"
# of `odbc_connect` the value is a whole connection string
SECRET_WORDS = "password|passwd|pwd|token|secret|access_?key|api_?key|odbc_connect"
# Up to the last @ before the path, since a password may hold one; or beyond a slash, as SQLAlchemy reads a
# URI: a password goes on to the next @, a name to the first colon, with any @ in it.
USERINFO = re.compile(r"(://[^/:\s]*):(?:[^/\s]*@|[^@\s]*@)")
TOKEN = re.compile(r"(://)[^/@:\s]+@")
QUOTED = r"'(?:[^'\\]|\\.)*'"  # libpq's: a quote within has a backslash before it
PARAMETER = re.compile(rf"((?:^|[?&;\s])\w*(?:{SECRET_WORDS})\s*=\s*)(?:{QUOTED}|[^&;\s]+)", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Return the text with the passwords and tokens of all its URIs and connection strings hidden.

    A name before a password stays: 'postgresql://me:***@host/db'. A name alone may be a token and goes.
    """
    text = USERINFO.sub(rf"\1:{HIDDEN}@", text)
    text = TOKEN.sub(rf"\1{HIDDEN}@", text)
    return PARAMETER.sub(rf"\1{HIDDEN}", text)
