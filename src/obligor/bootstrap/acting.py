"""Names the person who acts on the command line: somebody whom the store knows, and who may do this.

The command line signs nobody in. Who acts is who ``OBLIGOR_AUTHOR`` says, or else the user of the operating system; whoever
holds the database's password can say what they like. What is held here is that the name is one of an active person with the
permission of the act, so that roles that conflict, and makers who check, are refused here as over REST. A store in which
nobody is active knows nobody, and takes any name: somebody has to be the first.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Final

from obligor.core.errors import ForbiddenError
from obligor.settings import read_author

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.bootstrap.store import Store
    from obligor.serving.acts import Caller
    from obligor.serving.people import Person

_HINT: Final = "OBLIGOR_AUTHOR names who acts; obligor users list"
_ADMINISTRATORS: Final = 2
"""Fewer than these cannot give anybody a role."""


async def acting(store: Store, permission: str) -> str:
    """Name the person at work, who must have a permission.

    Raises
    ------
    ForbiddenError
        Where the store knows active people, and this is none of them, or one without the permission. The attempt is recorded.
    """
    return await _acting(store, permission, await store.people.people())


async def appointing(store: Store) -> str:
    """Name the person at work who makes somebody an administrator.

    It takes administrators, as any role does. Where there is none, or no longer two who could agree, any active person may be
    one of the two: otherwise nobody could ever be given a role again.
    """
    people = await store.people.people()
    there = sum("admin" in it.granted for it in people if it.user.disabled_at is None)
    lost = there < _ADMINISTRATORS <= await store.people.ever("admin")
    return await _acting(store, None if lost or not there else "role.grant", people)


async def _acting(store: Store, permission: str | None, people: Sequence[Person]) -> str:
    name = read_author(os.environ)
    person = next((it for it in people if it.user.user_id == name), None)
    if person is None and not any(it.user.disabled_at is None for it in people):
        return name
    try:
        _check(person, permission)
    except ForbiddenError:
        await _tell(store, person, permission or "role.grant")
        raise
    return name


def _check(person: Person | None, permission: str | None) -> None:
    from obligor.security.permissions import allow

    if person is None or person.user.disabled_at is not None:
        raise ForbiddenError("who acts is nobody whom the store knows as active", hint=_HINT)
    if permission is not None:
        allow(_caller(person), permission)


async def _tell(store: Store, person: Person | None, permission: str) -> None:
    from obligor.serving.refusals import Refusals

    refusals = Refusals(store.recorder, store.sources)
    refusals.refused(None if person is None else _caller(person), route=f"command line: {permission}", why="forbidden")
    await refusals.record()


def _caller(person: Person) -> Caller:
    """Give a person as a caller. Nothing asks for a second factor here: the sign-in of the machine stands for both."""
    from obligor.serving.acts import Caller

    name = person.user.user_id
    never = datetime.max.replace(tzinfo=person.user.created_at.tzinfo)
    return Caller(
        f"person:{name}", "", frozenset(), never, kind="person", roles=person.granted, subject=name, strong=True
    )
