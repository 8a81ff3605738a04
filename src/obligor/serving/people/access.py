"""Access: who there is, what each may do, and what somebody should look at."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from obligor.core.leaves import time_text
from obligor.core.people import are_one_person, person_named
from obligor.security.permissions import permissions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from obligor.serving.rows import UserRoleRow, UserRow

STALE_AFTER: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in, with every role that was ever proposed for them."""

    user: UserRow
    roles: tuple[UserRoleRow, ...] = ()
    seen_at: datetime | None = None
    """When they last signed in with a password."""

    @property
    def granted(self) -> frozenset[str]:
        """The roles that they hold."""
        return frozenset(it.role for it in self.roles if it.state == "granted")

    def unseen(self, at: datetime) -> timedelta:
        """Tell for how long they have not signed in; not at all for somebody who signs in elsewhere, or is disabled."""
        return at - (self.seen_at or self.user.created_at) if self.user.password else timedelta()


class PeopleArchive(Protocol):
    """Where people are found."""

    async def person(self, user_id: str) -> Person | None:
        """Find a person with their roles."""
        ...

    async def people(self) -> tuple[Person, ...]:
        """Give everybody, by user id."""
        ...

    async def ever(self, role: str) -> int:
        """Tell how many people have, or had, a role; who lost it counts."""
        ...


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One person, as a review of access sees them."""

    person: Person
    concerns: tuple[str, ...]


def access_of(people: Sequence[Person], *, at: datetime) -> tuple[Reviewed, ...]:
    """Tell of everybody who may do what, and what somebody should look at: conflicts, second and stale accounts, proposals."""
    accounts = defaultdict[str, list[str]](list)
    for it in people:
        if it.user.disabled_at is None:
            accounts[person_named(it.user.user_id)].append(it.user.user_id)
    return tuple(
        Reviewed(it, tuple(_concerns(it, at, accounts=accounts[person_named(it.user.user_id)]))) for it in people
    )


def accounts_beside(people: Sequence[Person], user_id: str) -> tuple[Person, ...]:
    """Give the other accounts of the person whose account one is, those that are disabled too."""
    return tuple(it for it in people if it.user.user_id != user_id and are_one_person(it.user.user_id, user_id))


def plain_user(user: UserRow) -> dict[str, Any]:
    """Give what may be shown of a user."""
    return {
        "user": user.user_id,
        "state": "enabled" if user.disabled_at is None else "disabled",
        "signs_in": "here" if user.password else "elsewhere",
        "created_at": time_text(user.created_at),
        "disabled_at": None if user.disabled_at is None else time_text(user.disabled_at),
    }


def plain_role(row: UserRoleRow) -> dict[str, Any]:
    """Give what may be shown of a role of a person."""
    return {
        "role": row.role,
        "state": row.state,
        "proposed_by": row.proposed_by,
        "by": row.by,
        "at": time_text(row.at),
    }


def plain_person(person: Person) -> dict[str, Any]:
    """Give what may be shown of a person."""
    seen = None if person.seen_at is None else time_text(person.seen_at)
    return plain_user(person.user) | {"seen_at": seen, "roles": [plain_role(it) for it in person.roles]}


def plain_reviewed(reviewed: Reviewed) -> dict[str, Any]:
    """Give what a review of access tells of a person."""
    told = {"may": list(may_of(reviewed.person)), "concerns": list(reviewed.concerns)}
    return plain_person(reviewed.person) | told


def may_of(person: Person) -> tuple[str, ...]:
    """Name what somebody may do, and how far."""
    if person.user.disabled_at is not None or permissions().conflict(person.granted):
        return ()
    held = permissions().held(roles=person.granted, scopes=frozenset())
    return tuple(
        " ".join([name, *(f"({condition})" for condition, it in how._asdict().items() if it)])
        for name, how in sorted(held.items())
    )


def _concerns(person: Person, at: datetime, *, accounts: Sequence[str]) -> list[str]:
    user, found = person.user, []
    if conflict := permissions().conflict(person.granted):
        found.append(f"holds {conflict[0]} and {conflict[1]}, and may do nothing until one is revoked")
    if user.disabled_at is not None:
        return [*found, "is disabled, and still has roles"] if person.granted else found
    if others := [it for it in accounts if it != user.user_id]:
        found.append(f"is one person with {', '.join(others)}, and neither agrees to what the other does")
    if person.unseen(at) > STALE_AFTER:
        found.append(f"has not signed in for {person.unseen(at).days} days")
    found += [f"waits for {it.role}, which {it.proposed_by} proposed" for it in person.roles if it.state == "proposed"]
    found += [
        f"was granted {it.role} by {it.by} alone"
        for it in person.roles
        if it.state == "granted" and are_one_person(it.by, it.proposed_by)
    ]
    if not person.granted:
        found.append("has no role")
    return found
