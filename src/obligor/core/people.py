"""Names of people as they were typed: nobody is two people by a capital, a blank, or the log's mark of a person."""

from __future__ import annotations


def are_one_person(one: str, other: str) -> bool:
    """Tell whether two names are one person's, however they were typed."""
    return _name(one) == _name(other)


def _name(typed: str) -> str:
    return " ".join(typed.casefold().split()).removeprefix("person:").lstrip()
