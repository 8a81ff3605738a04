"""Brings the tables of a database to the newest shape; Alembic is loaded only where something is left to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from obligor.adapters.store.address import check_server, check_sessions, connection_info, told, unavailable
from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.config import Config

NEWEST: Final = "0035"
"""The revision that this code was written for. It also runs on a newer one, since steps only add."""
_STEPS = "obligor.adapters.store:migrations/versions"
_REVISION = "SELECT version_num FROM obligor.alembic_version"


def migrate(url: str) -> None:
    """Bring the tables to the newest shape, or leave them as they are where they are there already, or beyond.

    Raises
    ------
    InvalidInputError
        Where the server is too old, or hands its sessions round.
    UnavailableError
        Where it does not answer, or another process is at it.
    """
    with _errors(url):
        check_sessions(url)
    found = revision(url)
    if found is None or found < NEWEST:
        upgrade(url, NEWEST)


def revision(url: str) -> str | None:
    """Give the revision of the tables, or None where there are none."""
    with _errors(url), psycopg.connect(connection_info(url, name="migration"), autocommit=True) as connection:
        check_server(connection.info.server_version, url)
        try:
            row = connection.execute(_REVISION).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return None
    return None if row is None else str(row[0])


def upgrade(url: str, to: str = "head", *, steps: Sequence[str] = (_STEPS,)) -> None:
    """Go up to a revision while nobody else does, in one transaction but for indexes that are made while others write."""
    from alembic import command

    with _errors(url), _configured(url, steps) as config:
        command.upgrade(config, to)


def downgrade(url: str, to: str, *, steps: Sequence[str] = (_STEPS,)) -> None:
    """Go down to a revision, in one transaction; the tables of the log go only where they are empty."""
    from alembic import command

    with _errors(url), _configured(url, steps) as config:
        command.downgrade(config, to)


@contextmanager
def _configured(url: str, steps: Sequence[str]) -> Iterator[Config]:
    """Configure Alembic without an ini file, on a connection of ours."""
    from alembic.config import Config
    from sqlalchemy import NullPool, create_engine

    info = connection_info(url, name="migration")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(info), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", "obligor.adapters.store:migrations")
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(steps))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        yield config


@contextmanager
def _errors(url: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise unavailable(url, error) from error
    except Exception as error:
        cause = _wrapped(error)
        if isinstance(cause, psycopg.errors.LockNotAvailable):
            raise UnavailableError(f"{told(url)} is being changed by another process; try again") from error
        if isinstance(cause, psycopg.Error):
            raise unavailable(url, cause) from error
        raise


def _wrapped(error: BaseException | None) -> BaseException | None:
    """Give what SQLAlchemy wraps, also where it met something else after it, such as a transaction that it could not end."""
    while error is not None and not isinstance(found := getattr(error, "orig", None), psycopg.Error):
        error = error.__context__
    return None if error is None else found
