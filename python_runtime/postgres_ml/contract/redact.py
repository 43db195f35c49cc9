"""Takes credentials out of texts that people read: log lines, errors, files.

Standard library only: both the adapter and the training process use it.
"""

from __future__ import annotations

import re

HIDDEN = "***"
SECRET_WORDS = "password|passwd|pwd|token|secret|access_?key|api_?key"
# up to the last @ before the path: a password may hold one
USERINFO = re.compile(r"(://[^/@:\s]*):[^/\s]*@")
TOKEN = re.compile(r"(://)[^/@:\s]+@")
PARAMETER = re.compile(rf"([?&\s](?:{SECRET_WORDS})=)(?:'[^']*'|[^&\s]+)", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Return the text with the passwords and tokens of all its URIs and connection strings hidden.

    A name before a password stays: 'postgresql://me:***@host/db'. A name alone may be a token and goes.
    """
    text = USERINFO.sub(rf"\1:{HIDDEN}@", text)
    text = TOKEN.sub(rf"\1{HIDDEN}@", text)
    return PARAMETER.sub(rf"\1{HIDDEN}", text)
