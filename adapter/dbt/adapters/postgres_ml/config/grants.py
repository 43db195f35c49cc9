"""Who may do what with a model: the config's `grants`, with roles written as SQL writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dbt.adapters.postgres_ml.config.values import wrong_type

EXECUTE = "execute"
#: what can be granted: on the card, a view, and on the functions
PRIVILEGES = (
    "select",
    "insert",
    "update",
    "delete",
    "truncate",
    "references",
    "trigger",
    "maintain",
    EXECUTE,
)
SPECIAL = ("current_user", "current_role", "session_user")


def role_of(text: str) -> str:
    """Return the name of the role that a text means in SQL: folded, or as it stands between quotes.

    `public`, current_user and the like come back as they are.
    """
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text.lower()


def is_special(text: str) -> bool:
    """Whether a text is a word of SQL's and no role's name."""
    return role_of(text) in (*SPECIAL, "public") and not text.strip().startswith('"')


def privilege_problems(grants: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each privilege that no model has, and for each value that names no roles."""
    if not isinstance(grants, Mapping):
        return [wrong_type("grants", grants, "a dict such as {execute: [reporting]}")]
    problems = [
        f"grants: there is no privilege '{name}' on a model; there are: {', '.join(PRIVILEGES)}"
        for name in grants
        if str(name).lower() not in PRIVILEGES
    ]
    for name, found in grants.items():
        roles = found if isinstance(found, list | tuple) else [found]
        wrong = [role for role in roles if not isinstance(role, str) or not role.strip()]
        if wrong:  # dbt makes a list of null
            shown = "null" if wrong[0] is None else repr(wrong[0])
            problems.append(
                f"grants: {name} must be a role or a list of roles, found {shown}: write [] for nobody, or "
                "leave the key out for what is granted by hand"
            )
    return problems


def grant_problems(cursor: Any, grants: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a sentence for each role that doesn't exist.

    Parameters
    ----------
    grants : the roles, as in the config, by privilege
    """
    given = sorted({text for roles in grants.values() for text in roles if not is_special(text)})
    cursor.execute(
        "select name from unnest(%s::text[]) as name where not exists "
        "(select from pg_roles as r where r.rolname = name)",
        ([role_of(text) for text in given],),
    )
    missing = {name for (name,) in cursor.fetchall()}
    return [
        f"grants: role {text} does not exist: create role {text}, or leave it out"
        for text in given
        if role_of(text) in missing
    ]


def grantee_names(cursor: Any, texts: Sequence[str]) -> list[str]:
    """Return roles as Postgres writes them: `public`, or quoted where they have to be; each once.

    current_user and the like are the names that they stand for, which is what an object's rights say.
    """
    names = [role_of(text) for text in texts]
    words = [role_of(text) if is_special(text) else "" for text in texts]
    cursor.execute(
        """select case given.word when 'public' then 'public' when '' then quote_ident(given.name)
            when 'session_user' then quote_ident(session_user) else quote_ident(current_user) end
        from unnest(%s::text[], %s::text[]) as given (name, word)""",
        (names, words),
    )
    return sorted({name for (name,) in cursor.fetchall()})
