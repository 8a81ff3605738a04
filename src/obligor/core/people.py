"""Names of people as they were typed: nobody is two people by a capital, a blank, the log's mark of a person, or an alias.

Addresses that reach one mailbox are one person's: in any case, full-width or not, with a tag behind ``+`` (RFC 5233) or
without, and at Gmail with dots in the local part or without. Two addresses of one person that share nothing are not seen.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from obligor.core.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Iterable

_GMAIL: Final = "gmail.com"
_ONE_MAILBOX: Final = {"googlemail.com": _GMAIL}
"""Domains whose addresses are those of another."""


def are_one_person(one: str, other: str) -> bool:
    """Tell whether two names are one person's, as far as names can tell."""
    return person_named(one) == person_named(other)


def are_one_name(one: str, other: str) -> bool:
    """Tell whether two names are the same, however they were typed; two addresses of one mailbox are not."""
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


def person_named(typed: str) -> str:
    """Give the one name of a person, of all by which they might be known."""
    name = unicodedata.normalize("NFKC", typed)
    name = _name("".join(it for it in name if unicodedata.category(it) != "Cf"))  # which nobody sees
    local, at, domain = name.removeprefix("mailto:").removeprefix("acct:").rpartition("@")
    if not (local and domain):
        return name
    domain = _ONE_MAILBOX.get(domain.rstrip("."), domain.rstrip("."))
    local = local.partition("+")[0] or local
    return f"{local.replace('.', '') if domain == _GMAIL else local}{at}{domain}"


def _name(typed: str) -> str:
    return " ".join(typed.casefold().split()).removeprefix("person:").lstrip()
