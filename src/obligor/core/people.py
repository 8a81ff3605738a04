"""Names of people as they were typed: nobody is two people by a capital, a blank, or the log's mark of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Iterable


def are_one_person(one: str, other: str) -> bool:
    """Tell whether two names are one person's, however they were typed."""
    return _name(one) == _name(other)


def check_took_no_part(by: str, took_part: Iterable[str], *, what: str) -> None:
    """Refuse somebody to judge what they had a hand in.

    Raises
    ------
    ForbiddenError
        Where they are one of those who took part.
    """
    if any(are_one_person(by, it) for it in took_part):
        raise ForbiddenError(f"{what} is for a person who took no part in the decision; wanted somebody else")


def _name(typed: str) -> str:
    return " ".join(typed.casefold().split()).removeprefix("person:").lstrip()
