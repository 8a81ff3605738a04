"""A lender at work on a real store: a release in force, decisions by the service's own use case, anchors."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.keyrings import stored_keyring, write_master_key
from tests.serving import golden_decisions as golden

from obligor.adapters.anchors.file import FileAnchor
from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.proofs import PostgresLog
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.security.signing import SigningKey
from obligor.serving.acts import Caller
from obligor.serving.audit.anchoring import Anchoring
from obligor.serving.deciding import DecisionService
from obligor.serving.gates.gate import NO_GATES
from obligor.serving.privacy.sealed import Sealer
from obligor.serving.register import Register
from obligor.serving.releases.release import Releases
from obligor.serving.releases.releasing import activate
from obligor.serving.sources import Sources, live_sources
from obligor.serving.telemetry.meter import NoMeter
from obligor.serving.webhooks.events import Listeners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from obligor.core.profile import GateName
    from obligor.serving.gates.gate import Gate
    from obligor.serving.releases.release import Release

NOON: Final = golden.START
PRIVATE: Final = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEY: Final = SigningKey("obligor-test", PRIVATE)


def write_key(path: Path) -> SigningKey:
    """Write the lender's signing key where the service looks for it; give it under the name that it has there."""
    from obligor.security.signing import read_signing_key

    path.parent.mkdir(mode=0o700, parents=True)
    path.touch(mode=0o600)
    write_master_key(path.parent / "data-master.key")
    path.write_bytes(PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return read_signing_key(path)


@dataclass
class Clock:
    """A clock that goes a second at every look, from where it is set."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass(frozen=True)
class Lender:
    """What a lender works with."""

    service: DecisionService
    register: Register
    recorder: PostgresRecorder
    archive: PostgresArchive
    log: PostgresLog
    sources: Sources
    key: SigningKey
    listeners: Listeners

    async def decide(self, count: int, *, client: str = "bank", first: int = 0) -> list[dict[str, Any]]:
        """Decide on applications, each under a key of its own."""
        return [
            await self.decide_one(application, client=client, key=f"{client}-{at}")
            for at, application in enumerate(golden.applications(first + count)[first:], start=first)
        ]

    async def decide_one(self, application: dict[str, Any], *, client: str, key: str) -> dict[str, Any]:
        recorded = await self.service.decide(caller(client), key=key, application=application)
        answer: dict[str, Any] = msgspec.json.decode(recorded.response)
        return answer

    async def report(self, decision_id: str, *, client: str = "bank") -> None:
        """Report what became of a loan."""
        report = {"status": "good", "observed_on": date(2026, 11, 26).isoformat()}
        await self.register.report_outcome(
            caller(client), key=f"r-{decision_id}", decision_id=UUID(decision_id), report=report
        )

    async def anchor(self, folder: Path) -> None:
        """Hand a checkpoint to an anchor."""
        anchoring = Anchoring(
            log=self.log, key=self.key, anchors=[FileAnchor(folder)], clock=self.sources.now, meter=NoMeter()
        )
        await anchoring.start()
        anchoring.close()


def person(name: str, *roles: str, strong: bool = True) -> Caller:
    """Give a person who signed in."""
    until = datetime.max.replace(tzinfo=UTC)
    return Caller(f"person:{name}", "", frozenset(), until, "person", frozenset(roles), name, strong=strong)


def caller(client: str) -> Caller:
    return Caller(client, "key", frozenset({"decide", "read", "report"}), datetime.max.replace(tzinfo=UTC))


@asynccontextmanager
async def lending(
    url: str,
    *,
    clock: Callable[[], datetime] | None = None,
    key: SigningKey = KEY,
    seed: int = 1,
    made: Release | None = None,
    gates: Mapping[GateName, Gate] = NO_GATES,
    sealed: bool = True,
) -> AsyncIterator[Lender]:
    """Open a store for a lender; a store without a release gets one."""
    pool, chance = Pool(url), random.Random(seed)  # noqa: S311  salts and ids of tests
    sources = Sources(clock or Clock(), chance.randbytes)
    archive, releases, listeners = PostgresArchive(pool), Releases(PostgresArchive(pool)), Listeners()
    try:
        async with PostgresRecorder(url) as recorder:
            if await archive.release() is None:
                made = made or golden.release_of()
                releases.take(
                    await activate(
                        card=made.card,
                        policy=made.policy,
                        profile=made.profile,
                        by="ada",
                        archive=archive,
                        recorder=recorder,
                        key=key,
                        sources=sources,
                    )
                )
            else:
                from obligor.serving.releases.release import open_release

                stored = await archive.release()
                assert stored is not None
                releases.take(open_release(stored, signed=lambda *_: True))
            sealer = Sealer(stored_keyring(url), archive, live_sources()) if sealed else None
            service = DecisionService(
                releases=releases,
                recorder=recorder,
                answers=archive,
                sources=sources,
                meter=NoMeter(),
                sealer=sealer,
                listeners=listeners,
                gates=gates,
            )
            register = Register(
                archive=archive,
                receipts=None,  # type: ignore[arg-type]  no receipts are asked for
                releases=releases,
                recorder=recorder,
                sources=sources,
                listeners=listeners,
                sealer=sealer,
            )
            yield Lender(service, register, recorder, archive, PostgresLog(pool), sources, key, listeners)
    finally:
        await pool.close()


def a_day(url: str, anchor: Path, *, key: SigningKey = KEY, decisions: int = 12) -> list[dict[str, Any]]:
    """A release, decisions for two clients, an outcome, and an anchored checkpoint; gives the answers."""

    async def worked() -> list[dict[str, Any]]:
        async with lending(url, key=key) as lender:
            answers = await lender.decide(decisions)
            answers += await lender.decide(3, client="broker", first=decisions)
            await lender.report(answers[0]["decision_id"])
            await lender.anchor(anchor)
        return answers

    return asyncio.run(worked())
