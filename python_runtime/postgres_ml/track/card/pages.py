"""The two forms of a model card: Markdown, and one HTML file that carries its pictures.

Input: sections. Output: text.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;color:#1f2933;
background:#f5f7fa;margin:0}
main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.7rem;margin:0 0 .2rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:0 0 .8rem}
.lead{color:#52606d;margin:0 0 1.2rem}p{margin:.5rem 0;max-width:46rem}
section{background:#fff;border:1px solid #e4e7eb;border-radius:8px;padding:1.2rem 1.4rem;margin:1rem 0}
.table{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem}
th{text-align:left;color:#52606d;font-weight:600}
td,th{padding:.3rem 1.4rem .3rem 0;border-bottom:1px solid #e4e7eb;vertical-align:top;overflow-wrap:anywhere}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td:first-child{overflow-wrap:normal}tr:last-child td{border-bottom:0}ul{padding-left:1.2rem;margin:.4rem 0}
pre{position:relative;background:#f5f7fa;border:1px solid #e4e7eb;border-radius:6px;padding:.8rem 1rem;
overflow-x:auto;margin:.6rem 0;font-size:.86rem;line-height:1.45}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
button{position:absolute;top:.4rem;right:.4rem;font:inherit;font-size:.78rem;color:#1f2933;background:#fff;
border:1px solid #cbd2d9;border-radius:4px;padding:.1rem .5rem;cursor:pointer}button:hover{background:#e4e7eb}
.images{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.2rem}
.images figure:only-child{max-width:38rem}
figure{margin:.6rem 0 0}img{max-width:100%;height:auto;display:block}
figcaption{font-size:.85rem;color:#52606d;margin-top:.3rem}
summary{cursor:pointer;font-weight:600}summary h2{display:inline}
@media print{body{background:#fff}section{break-inside:avoid;border:0;padding:0}button{display:none}}
"""
COPY = (
    "for(const b of document.querySelectorAll('button'))b.onclick=()=>navigator.clipboard"
    ".writeText(b.previousSibling.textContent).then(()=>{b.textContent='copied'})"
)
NUMBER = re.compile(r"[−+-]?[\d,.]+(e[+-]\d+)?( ?%| s)?|–")


@dataclass(frozen=True)
class Section:
    """A part of the card.

    Parameters
    ----------
    title : its heading
    texts : paragraphs
    rows : a table, its head first; a head of empty cells is left out
    items : a list
    codes : (language, text) pairs
    images : (file, caption) pairs
    is_folded : whether HTML shows it only when asked
    """

    title: str
    texts: Sequence[str] = ()
    rows: Sequence[tuple[str, ...]] = ()
    items: Sequence[str] = ()
    codes: Sequence[tuple[str, str]] = ()
    images: Sequence[tuple[Path, str]] = ()
    is_folded: bool = False


def markdown(title: str, lead: str, parts: Sequence[Section]) -> str:
    """Return the card as Markdown; pictures are those of the folder `plots` beside it."""
    lines = [f"# {_escape(title)}", "", _escape(lead), ""]
    for part in parts:
        lines += [f"## {part.title}", ""]
        lines += [line for text in part.texts for line in (_escape(text), "")]
        if part.rows:
            head, *rows = part.rows
            lines += [_row(head), "|" + " --- |" * len(head), *map(_row, rows), ""]
        if part.items:
            lines += [*(f"- {_escape(item)}" for item in part.items), ""]
        for language, code in part.codes:
            fence = "```"
            while fence in code:
                fence += "`"
            lines += [f"{fence}{language}", code, fence, ""]
        lines += [
            line for path, text in part.images for line in (f"![{_escape(text)}](plots/{path.name})", "")
        ]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escape(cell).replace("|", "\\|") for cell in cells) + " |"


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is; an underscore inside a word means nothing there."""
    plain = html.escape(text, quote=False).replace("\n", " ")
    return re.sub(r"([*`]|(?<!\w)_|_(?!\w))", r"\\\1", plain)


def to_html(title: str, lead: str, parts: Sequence[Section]) -> str:
    """Return the card as one HTML file with the pictures inside."""
    body = "\n".join(_section(part) for part in parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f'<body><main><h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p>\n{body}\n</main>'
        f"<script>{COPY}</script></body></html>\n"
    )


def _section(part: Section) -> str:
    heading = f"<h2>{html.escape(part.title)}</h2>"
    content = [f"<p>{html.escape(text)}</p>" for text in part.texts]
    if part.rows:
        content.append(_table(part.rows))
    if part.items:
        content.append("<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in part.items) + "</ul>")
    content += [f"<pre><code>{html.escape(code)}</code><button>copy</button></pre>" for _, code in part.codes]
    if part.images:
        pictures = "".join(_figure(path, caption) for path, caption in part.images)
        content.append(f'<div class="images">{pictures}</div>')
    inner = "\n".join(content)
    if part.is_folded:
        return f"<section><details><summary>{heading}</summary>{inner}</details></section>"
    return f"<section>{heading}{inner}</section>"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *body = rows
    numeric = [all(NUMBER.fullmatch(row[column]) for row in body) for column in range(len(head))]
    lines = [_cells(head, "th", numeric)] if any(head) else []
    lines += [_cells(row, "td", numeric) for row in body]
    return '<div class="table"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _cells(row: Sequence[str], tag: str, numeric: Sequence[bool]) -> str:
    return "".join(
        f"<{tag}{' class=number' if right else ''}>{html.escape(cell)}</{tag}>"
        for cell, right in zip(row, numeric, strict=True)
    )


def _figure(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    alt = html.escape(path.stem.replace("_", " "))
    text = f"<figcaption>{html.escape(caption)}</figcaption>"
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}">{text}</figure>'
