"""Names the person who acts on the command line: somebody whom the store knows, and who may do this.

The command line signs nobody in. Who acts is who ``OBLIGOR_AUTHOR`` says, or else the user of the operating system; whoever
holds the database's password can say what they like. What is held here is that the name is one of an active person with the
permission of the act, so that roles that conflict, and makers who check, are refused here as over REST. A store in which
nobody is active knows nobody, and takes any name: somebody has to be the first.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from obligor.bootstrap.anchors import anchored
from obligor.bootstrap.store import service_settings, with_store
from obligor.core.errors import ForbiddenError, ObligorError
from obligor.core.people import person_named
from obligor.settings import read_author

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from obligor.bootstrap.store import Store
    from obligor.serving.acts import Caller
    from obligor.serving.people.access import Person
    from obligor.settings import Settings

Done = TypeVar("Done")
_HINT: Final = "OBLIGOR_AUTHOR names who acts"
_ACKNOWLEDGE: Final = "log.acknowledge"
_TWO: Final = 2
"""Fewer than these cannot agree."""


async def acting(store: Store, permission: str) -> str:
    """Name the person at work, who must have a permission.

    Raises
    ------
    ForbiddenError
        Where the store knows active people, and this is none of them, or one without the permission. The attempt is recorded.
    """
    return await _acting(store, permission, await store.people.people())


def with_reader(work: Callable[[Store], Awaitable[Done]], permission: str, settings: Settings | None = None) -> Done:
    """Do the work of one command that only reads, for somebody who may; nothing is written, but for a refusal.

    Raises
    ------
    ForbiddenError
        As ``acting``.
    """

    async def done(store: Store) -> Done:
        await acting(store, permission)
        return await work(store)

    return with_store(done, settings)


async def acting_in_person(store: Store, permission: str, *, password: Callable[[], str]) -> Caller:
    """Give the person at work as a caller, who shows their password once more where they sign in here.

    Raises
    ------
    ForbiddenError
        As ``acting``, and where it is not their password. The attempt is recorded.
    """
    from obligor.security.passwords import is_password

    name = await acting(store, permission)
    person = await _person(store, name)
    if person is None:
        return _anybody(name, permission, at=store.sources.now())
    if person.user.password and not await asyncio.to_thread(is_password, password(), person.user.password):
        await _tell(store, person, permission)
        raise ForbiddenError("the password is another; nothing was done")
    return _caller(person)


async def caller_acting(store: Store, permission: str) -> Caller:
    """Give the person at work as a caller, for what goes only as far as their own.

    Raises
    ------
    ForbiddenError
        As ``acting``.
    """
    name = await acting(store, permission)
    person = await _person(store, name)
    return _anybody(name, permission, at=store.sources.now()) if person is None else _caller(person)


async def acknowledging(store: Store) -> str:
    """Name the person at work who takes note that the log was set back.

    Until two have, nobody can be given a role. Where fewer than two have the permission, any active person may be one of them:
    the one who has it in an older backup may have left since, and nobody could say so.
    """
    from obligor.security.permissions import may

    people = await store.people.people()
    able = _many(it for it in people if may(_caller(it), _ACKNOWLEDGE))
    return await _acting(store, _ACKNOWLEDGE, people, anybody=able < _TWO)


async def appointing(store: Store) -> str:
    """Name the person at work who makes somebody an administrator.

    It takes administrators, as any role does. Where there is none, or no longer two who could agree, any active person may be
    one of the two: otherwise nobody could ever be given a role again.
    """
    people = await store.people.people()
    there = _many(it for it in people if "admin" in it.granted)
    lost = there < _TWO <= await store.people.ever("admin")
    return await _acting(store, "role.grant", people, anybody=lost or not there)


def _many(accounts: Iterable[Person]) -> int:
    """Count the people who are let in by accounts."""
    return len({person_named(it.user.user_id) for it in accounts if it.user.disabled_at is None})


def named(people: Sequence[Person], permission: str | None) -> str:
    """Name the person at work, who must be one of these and have a permission; of a refusal there is no leaf.

    Raises
    ------
    ForbiddenError
        As ``acting``.
    """
    name = read_author(os.environ)
    person = _one_of(people, name)
    if person is not None or any(it.user.disabled_at is None for it in people):
        _check(person, permission)
    return name


async def _acting(store: Store, permission: str, people: Sequence[Person], *, anybody: bool = False) -> str:
    try:
        return named(people, None if anybody else permission)
    except ForbiddenError:
        await _tell(store, _one_of(people, read_author(os.environ)), permission)
        raise


def _one_of(people: Sequence[Person], name: str) -> Person | None:
    return next((it for it in people if it.user.user_id == name), None)


async def _person(store: Store, name: str) -> Person | None:
    """Give who acts; None where nobody is active, and any name may."""
    person = await store.people.person(name)
    return None if person is None or person.user.disabled_at is not None else person


def _check(person: Person | None, permission: str | None) -> None:
    from obligor.security.permissions import allow

    if person is None or person.user.disabled_at is not None:
        raise ForbiddenError(
            f"{read_author(os.environ)!r}, who acts, is nobody whom the store knows as active", hint=_HINT
        )
    if permission is not None:
        allow(_caller(person), permission)


async def _tell(store: Store, person: Person | None, permission: str) -> None:
    from obligor.serving.refusals import Refusals

    refusals = Refusals(store.recorder, store.sources)
    refusals.refused(None if person is None else _caller(person), route=f"command line: {permission}", why="forbidden")
    with suppress(ObligorError):  # it is refused all the same, and that is what is told
        async with anchored(store, service_settings()):  # who only reads has not held the store against them yet
            await refusals.record()


def _caller(person: Person) -> Caller:
    """Give a person as a caller. The sign-in of the machine stands for a second factor here."""
    return _named(person.user.user_id, person.granted, at=person.user.created_at)


def _anybody(name: str, permission: str, *, at: datetime) -> Caller:
    """Give who acts where the store knows nobody: with a role that has the permission, on as few conditions as there are."""
    from obligor.security.permissions import permissions

    roles = permissions().roles
    role = min((it for it, held in roles.items() if permission in held), key=lambda it: sum(roles[it][permission]))
    return _named(name, frozenset({role}), at=at)


def _named(name: str, roles: frozenset[str], *, at: datetime) -> Caller:
    from obligor.serving.acts import Caller

    never = datetime.max.replace(tzinfo=at.tzinfo)
    return Caller(f"person:{name}", "", frozenset(), never, kind="person", roles=roles, subject=name, strong=True)
