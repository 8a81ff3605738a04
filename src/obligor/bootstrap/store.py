"""Opens the store of the decision service: its PostgreSQL, the one writer, those who read, and the signing key."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from obligor.core.errors import NotFoundError
from obligor.serving.holding import Hold
from obligor.serving.sources import Sources, live_sources
from obligor.settings import Settings, is_production, read_settings, switch_telemetry_off

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from obligor.adapters.store.actions import PostgresActions
    from obligor.adapters.store.archive import PostgresArchive
    from obligor.adapters.store.conduct import PostgresConduct
    from obligor.adapters.store.evidences import PostgresEvidences
    from obligor.adapters.store.links import PostgresLinks
    from obligor.adapters.store.overrides import PostgresOverrides
    from obligor.adapters.store.people import PostgresPeople
    from obligor.adapters.store.privacy import PostgresPrivacy
    from obligor.adapters.store.proofs import PostgresLog
    from obligor.adapters.store.proposals import PostgresProfileChanges, PostgresProposals
    from obligor.adapters.store.recorder import PostgresRecorder
    from obligor.adapters.store.reviews import PostgresReviews
    from obligor.adapters.store.screening import PostgresScreening
    from obligor.security.signing import SigningKey

Done = TypeVar("Done")
MOST_SEARCHES = 2
"""How many searches for decisions go on at a time, on connections of their own; one may read the whole log of a client."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open store."""

    url: str
    recorder: PostgresRecorder
    archive: PostgresArchive
    log: PostgresLog
    key: SigningKey
    sources: Sources
    people: PostgresPeople
    changes: PostgresProfileChanges
    proposals: PostgresProposals
    reviews: PostgresReviews
    overrides: PostgresOverrides
    conduct: PostgresConduct
    actions: PostgresActions
    screening: PostgresScreening
    privacy: PostgresPrivacy
    evidences: PostgresEvidences
    links: PostgresLinks
    hold: Hold
    """Why nothing may be written now."""


def service_settings() -> Settings:
    """Read the settings, with the telemetry of every dependency switched off."""
    switch_telemetry_off(os.environ)
    return read_settings(os.environ)


@contextmanager
def database(settings: Settings, *, meanwhile: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Give the address of the store's PostgreSQL, with its tables in step; the embedded one is started where it is needed.

    Parameters
    ----------
    meanwhile
        What is done in a thread while the embedded server is made and started.

    Raises
    ------
    UnavailableError
        Where the server does not answer.
    """
    from obligor.adapters.store.embedded import embedded_server
    from obligor.adapters.store.migrating import migrate

    if settings.database_url is not None:
        if is_production(os.environ):
            from obligor.adapters.store.address import check_encrypted

            check_encrypted(settings.database_url)
        migrate(settings.database_url)
        yield settings.database_url
        return
    with ExitStack() as stack:
        with _beside(meanwhile):
            url = stack.enter_context(embedded_server(settings.postgres))
        migrate(url)
        yield url


@contextmanager
def _beside(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextmanager
def existing_database(settings: Settings) -> Iterator[str]:
    """Give the address of a store that is there: who only looks makes none, and changes none.

    Raises
    ------
    NotFoundError
        Where there is none.
    UnavailableError
        Where the server does not answer.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    if not (settings.postgres / "PG_VERSION").is_file():
        raise NotFoundError(f"{settings.postgres}: there is no store", hint="set OBLIGOR_DATABASE_URL or OBLIGOR_DATA")
    from obligor.adapters.store.embedded import embedded_server

    with embedded_server(settings.postgres) as url:
        yield url


@asynccontextmanager
async def open_store(
    url: str, settings: Settings, *, counted: Callable[[int, float], None] = lambda *_: None
) -> AsyncIterator[Store]:
    """Open a store whose tables are in step; ``counted`` is told of each commit, its acts and its seconds."""
    from obligor.adapters.store.actions import PostgresActions
    from obligor.adapters.store.archive import PostgresArchive
    from obligor.adapters.store.conduct import PostgresConduct
    from obligor.adapters.store.evidences import PostgresEvidences
    from obligor.adapters.store.links import PostgresLinks
    from obligor.adapters.store.overrides import PostgresOverrides
    from obligor.adapters.store.people import PostgresPeople
    from obligor.adapters.store.pool import Pool
    from obligor.adapters.store.privacy import PostgresPrivacy
    from obligor.adapters.store.proofs import PostgresLog
    from obligor.adapters.store.proposals import PostgresProfileChanges, PostgresProposals
    from obligor.adapters.store.recorder import PostgresRecorder
    from obligor.adapters.store.reviews import PostgresReviews
    from obligor.adapters.store.screening import PostgresScreening
    from obligor.security.signing import open_signing_key

    key = open_signing_key(settings.audit_key)
    pool, searches, hold = Pool(url), Pool(url, most=MOST_SEARCHES), Hold()
    try:
        async with PostgresRecorder(url, counted=counted, hold=hold) as recorder:
            archive, log = PostgresArchive(pool, searches=searches), PostgresLog(pool, hold)
            people, changes = PostgresPeople(pool), PostgresProfileChanges(pool)
            yield Store(
                url,
                recorder,
                archive,
                log,
                key,
                live_sources(),
                people=people,
                changes=changes,
                proposals=PostgresProposals(pool),
                privacy=PostgresPrivacy(pool),
                reviews=PostgresReviews(pool),
                overrides=PostgresOverrides(pool),
                conduct=PostgresConduct(pool),
                actions=PostgresActions(pool),
                screening=PostgresScreening(pool, url),
                evidences=PostgresEvidences(pool),
                links=PostgresLinks(pool),
                hold=hold,
            )
    finally:
        await pool.close()
        await searches.close()


def with_store(work: Callable[[Store], Awaitable[Done]], settings: Settings | None = None) -> Done:
    """Do the work of one command with the store of the service."""
    settings = settings or service_settings()

    async def done(url: str) -> Done:
        async with open_store(url, settings) as store:
            return await work(store)

    with database(settings) as url:
        return asyncio.run(done(url))
