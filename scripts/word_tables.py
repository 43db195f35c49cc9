"""Write the tables of the words' tokenizer anew: of Python, and of the extension in C.

Run it with a Python of Unicode 14.0 (3.11): a fitted model's words must not change with the interpreter, so
the tables are files of this repository and nothing reads `unicodedata` at run time.
"""

from __future__ import annotations

import sys
import textwrap
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "python_runtime/postgres_ml/program/letters.py"
HEADER = ROOT / "extension/src/program/letters.h"
UNICODE = "14.0.0"
JOINERS = (0x200C, 0x200D)  # they stand inside of words of Persian and of Indian languages
FIRST_PICTURE = 0x2300  # symbols from here on are pictures (emoji among them), which may tell something
FIRST_EMOJI = 0x1F000  # modifiers from here on are skin tones

Range = tuple[int, int]
Fold = tuple[int, int, int, int]
"""First and last code point, distance between two, and what is added to each."""


def is_separator(code: int) -> bool:
    """Return whether a character separates words."""
    character = chr(code)
    if character.isascii():
        return not character.isalnum()
    kind = unicodedata.category(character)
    if kind == "So":
        return code < FIRST_PICTURE
    if kind == "Sk":
        return code < FIRST_EMOJI
    return kind[0] in "PZ" or (kind in ("Cc", "Cf", "Sm", "Sc") and code not in JOINERS)


def separators() -> list[Range]:
    """Return the ranges of separators, in order."""
    ranges: list[Range] = []
    for code in range(sys.maxunicode + 1):
        if is_separator(code):
            joined = bool(ranges) and ranges[-1][1] == code - 1
            ranges[-1:] = [(ranges[-1][0], code)] if joined else [*ranges[-1:], (code, code)]
    return ranges


def folds() -> list[Fold]:
    """Return the simple lower-case mappings as runs, in order."""
    runs: list[Fold] = []
    for code in range(sys.maxunicode + 1):
        lower = chr(code).lower()
        if len(lower) != 1 or ord(lower) == code or is_separator(code):
            continue
        delta = ord(lower) - code
        if runs:
            first, last, step, known = runs[-1]
            gap = code - last
            if known == delta and (gap == step or (first == last and gap <= 2)):
                runs[-1] = (first, code, gap, delta)
                continue
        runs.append((code, code, 1, delta))
    return runs


def python_module() -> str:
    """Return the text of the tables in Python."""
    ranges = " ".join(f"{a:x}-{b:x}" for a, b in separators())
    runs = " ".join(f"{a:x}-{b:x}/{step}{delta:+}" for a, b, step, delta in folds())
    texts = [
        f'{name} = """\\\n{textwrap.fill(text, 110, break_on_hyphens=False)}\n"""\n'
        for name, text in (("SEPARATORS", ranges), ("LOWER", runs))
    ]
    return (
        f'"""Which characters separate words, and the lower-case letters of Unicode {UNICODE}.\n\n'
        "Made by scripts/word_tables.py, which says by which rules; letters.h has the same for C.\n"
        '"""\n\n'
        + texts[0]
        + '"""Ranges of code points: first-last."""\n'
        + texts[1]
        + '"""Runs of code points: first-last/distance between two, and what is added to each."""\n'
    )


def c_header() -> str:
    """Return the text of the tables in C, ASCII left out: it has a table of its own."""
    ranges = ", ".join(f"{{0x{max(a, 0x80):X},0x{b:X}}}" for a, b in separators() if b >= 0x80)
    runs = ", ".join(f"{{0x{a:X},0x{b:X},{step},{delta}}}" for a, b, step, delta in folds() if b >= 0x80)
    texts = [textwrap.indent(textwrap.fill(text, 105), "\t") for text in (ranges, runs)]
    return (
        f"/* Which characters beyond ASCII separate words, and the lower-case letters of Unicode {UNICODE}.\n"
        " * Made by scripts/word_tables.py, which says by which rules. */\n"
        "static const CodeRange separators[] = {\n" + texts[0] + "\n};\n\n"
        "static const CaseRun case_runs[] = {\n" + texts[1] + "\n};\n"
    )


def main() -> None:
    """Write both files."""
    if unicodedata.unidata_version != UNICODE:
        raise SystemExit(f"this Python has Unicode {unicodedata.unidata_version}; use one of {UNICODE}")
    PYTHON.write_text(python_module(), encoding="utf-8")
    HEADER.write_text(c_header(), encoding="utf-8")


if __name__ == "__main__":
    main()
