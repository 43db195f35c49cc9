"""Links of the documentation where its pages stand elsewhere: on the package index, and on the docs site.

A relative link of a page in the repository leads nowhere there. One that names a file becomes the file's
address in the repository; where that is not known, the text of the link stays and the link goes.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable

# where a release is built, GitHub Actions says which repository it is of; empty elsewhere
REPOSITORY = (
    "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}".format_map(os.environ)
    if os.environ.get("GITHUB_REPOSITORY")
    else ""
)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
CODE = re.compile(r"^ *(```+).*?^ *\1", re.DOTALL | re.MULTILINE)


def address(path: str) -> str | None:
    """Return where a file or folder of the repository is on the web; None where nobody knows."""
    return f"{REPOSITORY}/blob/main/{path}" if REPOSITORY else None


def project_urls() -> dict[str, str]:
    """Return the links beside the package's description on the index, by their titles."""
    pages = {"Changelog": "CHANGELOG.md", "Documentation": "docs/quickstart.md"}
    if not REPOSITORY:
        return {}
    return {"Source": REPOSITORY, "Issues": f"{REPOSITORY}/issues"} | {
        title: f"{REPOSITORY}/blob/main/{path}" for title, path in pages.items()
    }


def rewrite(text: str, page: str, to: Callable[[str], str | None] = address) -> str:
    """Return a page's Markdown with its relative links made to lead somewhere.

    Parameters
    ----------
    page : its path in the repository
    to : a link's target by its path in the repository; None leaves the text of the link alone
    """

    def replaced(link: re.Match[str]) -> str:
        label, target = link.groups()
        path, _, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", target):
            return link[0]
        found = to(posixpath.normpath(posixpath.join(posixpath.dirname(page), path)))
        if found is None:
            return label
        return f"[{label}]({found}{'#' + anchor if anchor else ''})"

    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [LINK.sub(replaced, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, LINK.sub(replaced, text[end:])])
