"""People and their roles: who may sign in, and who made them what they are. Each change is an act with a leaf of its own.

A role is proposed by one person and granted by another, and neither is who gets it; a role that does not go with one that is
held is refused. To take away is one person's act: it can only make somebody able to do less. The first two administrators that
there ever are, are granted by one person each, since there is nobody else yet; the record says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from obligor.core.errors import ClashError, ForbiddenError, IntegrityError, InvalidInputError, NotFoundError
from obligor.core.leaves import time_text
from obligor.core.people import are_one_person
from obligor.security.passwords import hash_password
from obligor.security.permissions import permissions
from obligor.security.tokens import SUBJECT
from obligor.serving.acts import Act, Submission
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode
from obligor.serving.people.access import accounts_beside
from obligor.serving.people.proposals import Order
from obligor.serving.rows import SignInRow, UserRoleRow, UserRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from obligor.serving.acts import Recorder
    from obligor.serving.people.access import PeopleArchive, Person
    from obligor.serving.rows import PeopleRow
    from obligor.serving.sources import Sources

USER_SCHEMA: Final = "obligor/user/1"
ROLE_SCHEMA: Final = "obligor/user-role/1"
SIGN_IN_SCHEMA: Final = "obligor/sign-in/1"
FIRST_ROLE: Final = "admin"
SYSTEMS_ROLE: Final = "los"
"""The role of systems with tokens; a person is never given it."""
_PAIR: Final = 2
_DISABLED: Final = "who_was_disabled_disables_nobody"
"""By which the store refuses it to who was disabled since they were let in."""
_LAST: Final = "an_administrator_stays"
"""By which the store refuses to leave people without an administrator."""


class People:
    """What one person does about another; ``by`` is the user id of who does it."""

    def __init__(self, archive: PeopleArchive, recorder: Recorder, sources: Sources) -> None:
        self._archive, self._recorder, self._sources = archive, recorder, sources

    async def add(self, user_id: str, *, password: str | None, by: str) -> UserRow:
        """Let somebody sign in: with a password here, or without one at the identity provider.

        Raises
        ------
        ClashError
            Where there is somebody of this name, or was: an id is never given to another person. Or they have another account.
        InvalidInputError
            Where the id or the password is none.
        """
        refuse_card_data_in("user", user_id)
        check_user_id(user_id)
        check_user_id(by)
        if await self._archive.person(user_id) is not None:
            raise ClashError(f"user {user_id}: is there already, or was; an id is never given to another person")
        if accounts_beside(await self._archive.people(), user_id):
            raise ClashError(
                f"user {user_id}: has an account already, or had one, under another spelling; a person has one account",
                hint="addresses are one without their case and what stands after a +, and at Gmail without dots",
            )
        # Hashing is slow on purpose; others wait for the loop.
        kept = "" if password is None else await asyncio.to_thread(hash_password, password, user_id=user_id)
        at = self._sources.now()
        row = UserRow(user_id, kept, at, None)
        await self._record("user.added", row, at=at, by=by)
        return row

    async def disable(self, user_id: str, *, by: str, unknown: bool = False) -> UserRow:
        """Let somebody in no more, wherever they sign in; ``unknown`` keeps somebody out who was never added here, too.

        Raises
        ------
        NotFoundError
            Where there is no such user.
        ClashError
            Where they were disabled before, or are the last administrator.
        ForbiddenError
            Where who acts was disabled meanwhile.
        """
        check_user_id(user_id)
        check_user_id(by)
        person, at = await self._archive.person(user_id), self._sources.now()
        if (
            person is None and not unknown
        ):  # whom the provider calls so is kept out by that name, whatever it looks like
            raise NotFoundError(f"user {user_id}: there is none", hint="obligor users list")
        if person is not None and person.user.disabled_at is not None:
            raise ClashError(f"user {user_id}: was disabled before, at {time_text(person.user.disabled_at)}")
        row = UserRow(user_id, "", at, at) if person is None else replace(person.user, password="", disabled_at=at)
        await self._record("user.disabled", row, at=at, by=by)
        return row

    async def disable_stale(self, people: Sequence[Person], after: timedelta, *, by: str) -> tuple[UserRow, ...]:
        """Let those in no more who have a password and did not sign in for so long, but who acts and the last administrator."""
        check_user_id(by)
        at = self._sources.now()
        stale = [it for it in people if it.unseen(at) > after and not are_one_person(it.user.user_id, by)]
        left = {it.user.user_id for it in people if it.user.disabled_at is None and FIRST_ROLE in it.granted}
        disabled = []
        for it in sorted(stale, key=lambda it: it.unseen(at), reverse=True):
            if left == {it.user.user_id}:
                continue
            left.discard(it.user.user_id)
            row = replace(it.user, password="", disabled_at=at)
            await self._record("user.disabled", row, at=at, by=by, unseen_days=it.unseen(at).days)
            disabled.append(row)
        return tuple(disabled)

    async def grant(self, user_id: str, role: str, *, by: str) -> UserRoleRow:
        """Propose a role for somebody, or grant it where another person proposed it.

        Raises
        ------
        ForbiddenError
            Where it is one's own role, or one's own proposal.
        ClashError
            Where they hold it, or a role that does not go with it.
        """
        person = await self._usable(user_id, role=role, by=by)
        known = next((it for it in person.roles if it.role == role), None)
        if known is not None and known.state == "granted":
            raise ClashError(f"user {user_id}: has the role {role}")
        held = {it.role for it in person.roles if it.state != "revoked"} | {role}
        beside = tuple(sorted(held - {role}))
        elsewhere = frozenset[str]().union(
            *(it.granted for it in accounts_beside(await self._archive.people(), user_id))
        )
        if conflict := permissions().conflict(held | elsewhere):
            raise ClashError(f"user {user_id}: the roles {conflict[0]} and {conflict[1]} are not held together")
        at = self._sources.now()
        before = await self._archive.ever(FIRST_ROLE) if role == FIRST_ROLE else _PAIR
        first = before < _PAIR
        if before and are_one_person(by, user_id):
            raise ForbiddenError("nobody proposes or grants a role to themselves")
        if known is None or known.state == "revoked":
            row = UserRoleRow(user_id, role, "granted" if first else "proposed", by, by, at, beside)
        elif are_one_person(known.proposed_by, by):
            raise ForbiddenError(f"the role {role} of {user_id} waits for another person than {by}, who proposed it")
        else:
            row = UserRoleRow(user_id, role, "granted", known.proposed_by, by, at, beside)
        kind = "role.granted" if row.state == "granted" else "role.proposed"
        await self._record(kind, row, at=at, by=by, first_of_all=first)
        return row

    async def revoke(self, user_id: str, role: str, *, by: str) -> UserRoleRow:
        """Take a role away, or a proposal of it.

        Raises
        ------
        NotFoundError
            Where they have none.
        ClashError
            Where they are the last administrator.
        ForbiddenError
            Where who acts was disabled meanwhile.
        """
        person = await self._usable(user_id, role=role, by=by)
        known = next((it for it in person.roles if it.role == role and it.state != "revoked"), None)
        if known is None:
            raise NotFoundError(f"user {user_id}: has no role {role}")
        at = self._sources.now()
        row = replace(known, state="revoked", by=by, at=at, beside=None)
        await self._record("role.revoked", row, at=at, by=by)
        return row

    async def signed_in(self, user_id: str) -> None:
        """Record that somebody signed in."""
        at = self._sources.now()
        await self._record("user.signed", SignInRow(user_id, at), at=at, by=user_id)

    async def _usable(self, user_id: str, *, role: str, by: str) -> Person:
        check_user_id(user_id)
        check_user_id(by)
        wanted = sorted(permissions().roles.keys() - {SYSTEMS_ROLE})
        if role not in wanted:
            raise InvalidInputError(f"role: got {role[:40]!r}; wanted one of {', '.join(wanted)}")
        person = await self._archive.person(user_id)
        if person is None:
            refuse_card_data_in("user", user_id)
        if person is None or person.user.disabled_at is not None:
            raise NotFoundError(f"user {user_id}: there is none, or it is disabled", hint="obligor users list")
        return person

    async def _record(self, kind: str, row: PeopleRow, *, at: datetime, by: str, **beside: object) -> None:
        said = _said(row) | beside
        act = Act(kind, at, f"person:{by}", row.user_id, encode(said), self._sources.salt(), (row,))
        try:
            await self._recorder.record(Submission((act,), lambda _: b""))
        except IntegrityError as error:
            if _DISABLED in error.message:
                raise ForbiddenError(f"{by} was disabled meanwhile, and changes nobody") from None
            if _LAST in error.message:
                raise ClashError(
                    f"user {row.user_id}: is the last administrator",
                    hint="make somebody else an administrator before: obligor roles grant USER admin",
                ) from None
            raise ClashError(f"user {row.user_id}: was changed by somebody else meanwhile; look again") from None


def order_to_add(user_id: str, *, password: str | None, because: str = "") -> Order:
    """Say that somebody is to be let in, which takes two people; of a password nothing but that there is one."""
    return Order("user.added", {"user": user_id, "signs_in": "elsewhere" if password is None else "here"}, because)


def check_user_id(user_id: str) -> None:
    """Refuse a user id that could not stand in a log or a label.

    Raises
    ------
    InvalidInputError
        Where it is not made of letters, digits and a few signs.
    """
    if not SUBJECT.fullmatch(user_id):
        raise InvalidInputError(
            "user: wanted up to 190 letters, digits and signs of ._@+|:/=~-, with a letter, a digit or _ first",
            hint="the one who acts is named by OBLIGOR_AUTHOR",
        )


def _said(row: PeopleRow) -> dict[str, Any]:
    match row:
        case UserRow():
            return {
                "schema": USER_SCHEMA,
                "user_id": row.user_id,
                # A row that was given somebody else's password is not what the log says; the hash tells nothing of it.
                "password_sha256": sha256(row.password.encode()).hexdigest() if row.password else "",
                "created_at": time_text(row.created_at),
                "disabled_at": None if row.disabled_at is None else time_text(row.disabled_at),
            }
        case UserRoleRow():
            return {
                "schema": ROLE_SCHEMA,
                "user_id": row.user_id,
                "role": row.role,
                "state": row.state,
                "proposed_by": row.proposed_by,
                "by": row.by,
                "at": time_text(row.at),
            }
        case SignInRow():
            return {"schema": SIGN_IN_SCHEMA, "user_id": row.user_id, "at": time_text(row.at)}
