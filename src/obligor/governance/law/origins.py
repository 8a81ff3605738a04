"""Where data may not come from: looks for forbidden sources in what a contract, a card or a policy says of its columns.

A column is told by its name and its description, and so does this check: it finds the words that a pack lists for a source, at
the beginning of a word, in columns and histories that may reach a score or a rule. It cannot know what a column holds that
is not called by what it is; a contract that hides a source passes. A person who reads the contract is not replaced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from obligor.core.columns import Role
from obligor.core.errors import GateError
from obligor.governance.law.packs import applying

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from obligor.core.columns import Column, History
    from obligor.governance.law.packs import ForbiddenSource, Pack

_NEVER_SCORED = {Role.PROTECTED, Role.LEAKAGE, Role.OUTCOME, Role.OUTCOME_DATE, Role.IDENTIFIER, Role.WEIGHT}


class Forbidden(NamedTuple):
    """A column that seems to come from a source that a pack forbids."""

    place: str
    """Which column it is."""
    source: str
    word: str
    """What told it."""
    pack: str
    rule: str


def find_forbidden(
    columns: Mapping[str, Column], histories: Mapping[str, History], packs: Iterable[Pack], *, on: date
) -> tuple[Forbidden, ...]:
    """Name what is taken from sources that the packs that apply on a day forbid."""
    places = tuple(_places(columns, histories))
    return tuple(
        Forbidden(place, source.name, word, pack.id, source.rule)
        for pack in applying(packs, on)
        for source in pack.forbidden_sources
        for place, text in places
        if (word := _word(source, text)) is not None
    )


def refuse_forbidden(
    columns: Mapping[str, Column], histories: Mapping[str, History], packs: Iterable[Pack], *, on: date
) -> None:
    """Refuse what takes something from a forbidden source.

    Raises
    ------
    GateError
        Naming each place, the word that told it, and the rule.
    """
    found = find_forbidden(columns, histories, packs, on=on)
    if found:
        lines = (
            f"{it.place}: '{it.word}' tells data of {it.source}, which {it.pack} forbids ({it.rule})" for it in found
        )
        raise GateError("\n".join(lines))


def _places(columns: Mapping[str, Column], histories: Mapping[str, History]) -> Iterator[tuple[str, str]]:
    """Give every column that may reach a score, with what is said of it."""
    for name, it in columns.items():
        if not _NEVER_SCORED.intersection(it.role) or Role.PREDICTOR in it.role:
            yield f"applications.columns.{name}", f"{name} {it.description}"
    for table, history in histories.items():
        yield f"histories.{table}", table
        for name, it in history.columns.items():
            yield f"histories.{table}.columns.{name}", f"{name} {it.description}"


def _word(source: ForbiddenSource, text: str) -> str | None:
    said = re.sub(r"[_\W]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).lower()
    return next((word for word in source.words if re.search(rf"\b{re.escape(word)}", said)), None)
