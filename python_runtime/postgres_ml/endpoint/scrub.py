"""Takes secrets out of texts that a service wrote: in any case, spelling and part.

The source of this module stands in the functions, before that of `client`: standard library only.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

RUN = 6  # letters and digits in a row that a text may not share with a secret
MASK = "***"
SCHEMES = ("bearer", "basic", "token", "apikey", "digest")


class Scrubber:
    """Masks what a text shares with secrets.

    Parameters
    ----------
    secrets : passwords, tokens and values of headers
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {part for secret in secrets for part in _parts(secret)}
        self.whole = {_letters(part)[0] for part in known}
        self.short = sorted((part for part in known if len(_letters(part)[0]) < RUN), key=len, reverse=True)
        self.runs = {
            letters[k : k + RUN]
            for part in known
            for letters in (_letters(spelling)[0] for spelling in _spellings(part))
            for k in range(len(letters) - RUN + 1)
        }

    def holds_secret(self, text: str) -> bool:
        """Return whether a whole secret stands in the text."""
        letters, _ = _letters(text)
        return any(len(whole) > RUN and whole in letters for whole in self.whole)

    def clean(self, text: str) -> str:
        """Return the text with a mask for each run of letters and digits that stands in a secret too."""
        letters, places = _letters(text)
        hidden = set[int]()
        for k in range(len(letters) - RUN + 1):
            if letters[k : k + RUN] in self.runs:
                hidden.update(range(places[k], places[k + RUN - 1] + 1))
        cleaned, last = [], -2
        for place, letter in enumerate(text):
            if place not in hidden:
                cleaned.append(letter)
            elif last != place - 1:
                cleaned.append(MASK)
            if place in hidden:
                last = place
        result = "".join(cleaned)
        for part in self.short:
            result = result.replace(part, MASK)
        return result


def _letters(text: str) -> tuple[str, list[int]]:
    """Return letters and digits in lower case, and where each stands."""
    found = [
        (lower, place) for place, letter in enumerate(text) for lower in letter.lower() if lower.isalnum()
    ]
    return "".join(letter for letter, _ in found), [place for _, place in found]


def _parts(secret: str) -> Iterator[str]:
    """Yield a secret and what it is made of: 'Basic dXNlcjpwYXNz' holds a user and a password."""
    words = [word for word in secret.split() if word.lower() not in SCHEMES]
    for word in words:
        yield word
        yield from filter(None, word.partition("Signature=")[2:])
        try:
            decoded = base64.b64decode(word, validate=True).decode()
        except (binascii.Error, ValueError):
            continue
        if decoded.isprintable():
            yield from filter(None, (decoded, *decoded.split(":")))


def _spellings(part: str) -> Iterator[str]:
    """Yield how a service may repeat a secret."""
    raw = part.encode()
    plain = [part, part[::-1], raw.hex(), quote(part, safe=""), quote_plus(part), html.escape(part)]
    plain += [json.dumps(part), repr(raw), "".join(f"%{byte:02x}" for byte in raw)]
    plain += ["".join(f"{before}{form(ord(letter))}" for letter in part)
              for before, form in (("\\u", "{:04x}".format), ("&#", "{};".format), ("&#x", "{:x};".format),
                                   ("\\x", "{:02x}".format))]  # fmt: skip
    for shift in range(3):  # in base64 a text has three looks, by what stands before it
        encoded = base64.b64encode(bytes(shift) + raw).decode()
        inner = encoded[(0, 2, 3)[shift] : len(encoded) - 4 if (shift + len(raw)) % 3 else None]
        plain += [inner, quote(inner, safe=""), inner.replace("+", "-").replace("/", "_")]
    yield from plain
