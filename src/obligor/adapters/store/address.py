"""The address of the store's database, and what every connection to it has in common."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from obligor.core.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST: Final = 150000
"""The oldest PostgreSQL that is supported, as the server tells it."""
_SCHEMES = ("postgresql://", "postgres://")
_NAMED = "OBLIGOR_DATABASE_URL"
_NONE: Final = MappingProxyType[str, str]({})
_NO_SETTINGS: Final = "unsupported startup parameter"
_WAIT: Final = "4711ms"
_SESSION: Final = "SELECT pg_backend_pid(), current_setting('lock_timeout')"


def connection_info(url: str, *, name: str, session: Mapping[str, str] = _NONE, **settings: str | int) -> str:
    """Complete an address by what it does not say itself.

    Parameters
    ----------
    name : str
        How the connection is called in the server's own views.
    session : Mapping[str, str]
        Settings of the session, such as ``lock_timeout``.
    """
    if not url.startswith(_SCHEMES):
        raise InvalidInputError(f"{_NAMED}: wanted postgresql://user@host/database")
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:  # its text repeats the password
        raise InvalidInputError(f"{_NAMED}: cannot be understood as a PostgreSQL address") from None
    options = " ".join([str(given.pop("options", "") or ""), *(f"-c {key}={value}" for key, value in session.items())])
    usual: dict[str, Any] = {
        "application_name": f"obligor {name}",
        "connect_timeout": 5,
        "client_encoding": "UTF8",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    return make_conninfo("", **{**usual, **settings, **given, "options": options.strip()})


def check_encrypted(url: str) -> None:
    """Refuse an address in production over which what is sent could be read, or where anybody could answer.

    Raises
    ------
    InvalidInputError
        Where the server is reached over a network without its certificate being checked.
    """
    given = conninfo_to_dict(connection_info(url, name="check"))
    hosts = str(given.get("host") or "").split(",")
    if any(host and not host.startswith(("/", "@")) for host in hosts) and given.get("sslmode") != "verify-full":
        raise InvalidInputError(
            f"{_NAMED}: in production wanted sslmode=verify-full, so that the server is known and what is sent is encrypted",
            hint="postgresql://user@host/database?sslmode=verify-full&sslrootcert=/path/ca.pem",
        )


def told(url: str) -> str:
    """Name a database without its password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        return "the store"
    return f"the store {given.get('dbname', '')} at {given.get('host', 'localhost')}"


def check_server(version: int, url: str) -> None:
    """Refuse a server that is too old, by the number that it tells."""
    if version < OLDEST:
        raise InvalidInputError(
            f"{told(url)} is PostgreSQL {version // 10000}; wanted {OLDEST // 10000} or later",
        )


def check_sessions(url: str) -> None:
    """Refuse a pooler that hands one session of the server round: locks, notices and what is prepared belong to a session.

    Such a pooler gives the session that was freed last to whoever asks next; so two connections in turn have the same.

    Raises
    ------
    InvalidInputError
        Where two connections have one session, or one is without its settings.
    psycopg.Error
        Where the server does not answer.
    """
    info = connection_info(url, name="check", session={"lock_timeout": _WAIT})
    try:
        with psycopg.connect(info, autocommit=True) as one, psycopg.connect(info, autocommit=True) as other:
            seen = [connection.execute(_SESSION).fetchone() for _ in range(3) for connection in (one, other)]
    except psycopg.OperationalError as error:
        if _NO_SETTINGS not in str(error):
            raise
        seen = []
    are_own = len(set(seen)) == len({*seen[:2]}) == 2  # noqa: PLR2004  each of two had one, and not that of the other
    if not are_own or any(row is None or row[1] != _WAIT for row in seen):
        raise InvalidInputError(
            f"{told(url)} is reached through a pooler that shares sessions, or drops their settings",
            hint=f"{_NAMED} is to name PostgreSQL itself: a service keeps few connections, and needs no pooler",
        )


def unavailable(url: str, error: BaseException) -> UnavailableError:
    """Say that the store did not answer, without a word of the driver's that may hold a value."""
    code = getattr(error, "sqlstate", None)
    reason = type(error).__name__ if code is None else f"{type(error).__name__}, {code}"
    return UnavailableError(f"{told(url)} did not do its part ({reason})")
