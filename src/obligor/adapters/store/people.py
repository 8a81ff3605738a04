"""Finds people, their roles, and when they were last here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.serving.people.access import Person
from obligor.serving.rows import UserRoleRow, UserRow

if TYPE_CHECKING:
    from obligor.adapters.store.pool import Pool

KNOWN: Final = "SELECT user_id, created_at, disabled_at FROM obligor.app_user"
_USERS: Final = "SELECT user_id, password, created_at, disabled_at FROM obligor.app_user"
ROLES: Final = "SELECT user_id, role, state, proposed_by, by, at FROM obligor.user_role"
_SEEN: Final = """
    SELECT user_id, (SELECT max(at) FROM obligor.sign_in WHERE sign_in.user_id = app_user.user_id) AS at FROM obligor.app_user
"""
_EVER: Final = "SELECT count(*) AS many FROM obligor.user_role WHERE role = %s AND state <> 'proposed'"


class PostgresPeople:
    """Fulfils :class:`obligor.serving.people.access.PeopleArchive`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def person(self, user_id: str) -> Person | None:
        """Find a person with their roles."""
        users = await self._pool.rows(f"{_USERS} WHERE user_id = %s", (user_id,))
        roles = await self._pool.rows(f"{ROLES} WHERE user_id = %s ORDER BY role", (user_id,))
        return _person(users[0], roles) if users else None

    async def people(self) -> tuple[Person, ...]:
        """Give everybody, by user id."""
        roles = await self._pool.rows(f"{ROLES} ORDER BY user_id, role")
        seen = {row["user_id"]: row["at"] for row in await self._pool.rows(_SEEN)}
        users = await self._pool.rows(f"{_USERS} ORDER BY user_id")
        return tuple(
            _person(user, [it for it in roles if it["user_id"] == user["user_id"]], seen.get(user["user_id"]))
            for user in users
        )

    async def ever(self, role: str) -> int:
        """Tell how many people have, or had, a role; who lost it counts."""
        (row,) = await self._pool.rows(_EVER, (role,))
        return int(row["many"])


def _person(user: dict[str, Any], roles: list[dict[str, Any]], seen_at: Any = None) -> Person:
    return Person(UserRow(**user), tuple(UserRoleRow(**it) for it in roles), seen_at)
