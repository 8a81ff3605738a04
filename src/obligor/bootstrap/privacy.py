"""Opens the keys of personal data, and does from the command line what people may ask of their data."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from obligor.bootstrap.acting import acting
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.law import active_packs
from obligor.bootstrap.proposals import Proposed, open_proposals, proposed
from obligor.bootstrap.store import service_settings
from obligor.core.canonical import readable_json
from obligor.core.errors import IntegrityError, InvalidInputError, SealError, UnavailableError
from obligor.settings import is_production, read_author, read_retain_days

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import date
    from uuid import UUID

    from obligor.bootstrap.store import Store
    from obligor.progress import Progress
    from obligor.security.sealing import KeptKey, Keyring, Kms
    from obligor.serving.acts import Recorder
    from obligor.serving.people.proposals import Order
    from obligor.serving.privacy.erasing import Office, Standing
    from obligor.serving.privacy.sealed import Sealer
    from obligor.settings import Settings

Done = TypeVar("Done")
_AWS = "aws-kms:"
_VAULT = "vault:"
_PATIENCE = 20
_PAUSE_S = 1.0
_HEARD_S = 6.0
"""Within which every service has heard of a new key: it looks every five seconds, whatever notice it got."""


def open_kms(settings: Settings, *, anew: bool = True) -> Kms:
    """Open what holds the master key, as the settings name it; ``anew`` makes the file where there is none.

    Raises
    ------
    InvalidInputError
        Where it is a file in production, a file that is no master key, or a KMS whose settings cannot be used.
    UnavailableError
        Where there is none.
    """
    said = settings.data_key
    if said.startswith(_VAULT):
        from obligor.adapters.kms.vault import VaultKms

        return VaultKms(said.removeprefix(_VAULT), environ=os.environ, production=is_production(os.environ))
    if not said.startswith(_AWS):
        from obligor.adapters.kms.file import open_file_kms

        if not anew and not Path(said).exists():
            raise UnavailableError(f"{said}: there is no such master key", hint="set OBLIGOR_DATA_KEY")
        return open_file_kms(Path(said), production=is_production(os.environ))
    try:
        from obligor.adapters.kms.aws import AwsKms
    except ImportError as error:
        raise UnavailableError("AWS KMS needs botocore", hint="install obligor[s3]") from error
    return AwsKms(said.removeprefix(_AWS), environ=os.environ, production=is_production(os.environ))


async def open_keys(store: Store, settings: Settings, *, tell: bool = True) -> Keyring:
    """Unwrap the keys of the deployment; a new store gets its first. Where they do not open, ``tell`` has the log say so.

    Raises
    ------
    SealError
        Where the KMS gives other keys than were wrapped.
    UnavailableError
        Where the KMS does not answer.
    """
    from obligor.security.sealing import DATA, NAMES, make_kept, open_keyring
    from obligor.serving.privacy.erasing import record_keys

    kms = await asyncio.to_thread(open_kms, settings)
    kept = await store.privacy.keyring()
    if not kept:
        made = [await asyncio.to_thread(make_kept, purpose, 1, kms) for purpose in (DATA, NAMES)]
        by = read_author(os.environ) or "obligor"
        await record_keys(made, kind="datakey.created", by=by, recorder=store.recorder, sources=store.sources)
        kept = await store.privacy.keyring()  # another process may have been quicker: its keys are those
    try:
        return await asyncio.to_thread(lambda: open_keyring(kept, kms, random=store.sources.random))
    except SealError as error:
        if tell:
            await _tell_of_keys(store, error)
        raise


async def _tell_of_keys(store: Store, error: SealError) -> None:
    """Tell in the log that the keys of the deployment do not open."""
    from obligor.core.leaves import time_text
    from obligor.serving.acts import Act, Submission
    from obligor.serving.encoding import encode
    from obligor.serving.privacy.opening import BROKEN

    at = store.sources.now()
    said = {"schema": "obligor/seal/1", "decision_id": None, "at": time_text(at), "why": error.message}
    act = Act(BROKEN, at, "person:obligor", "keyring", encode(said), store.sources.salt())
    await store.recorder.record(Submission((act,), lambda _: b""))


async def open_sealer(store: Store, settings: Settings) -> Sealer:
    """Make what seals and opens records."""
    from obligor.serving.privacy.sealed import Sealer

    return Sealer(await open_keys(store, settings), store.archive, store.sources)


# From the command line


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it: lines for a person, plain data for ``--json``."""

    plain: dict[str, Any]
    said: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.plain

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return list(self.said)

    def encode(self) -> bytes:
        """Write it as a file."""
        return readable_json(self.plain)


def erase(
    subject: str | None,
    *,
    application: str | None,
    decision: UUID | None = None,
    account_closed: date | None = None,
    because: str = "",
) -> Told:
    """Erase a person, or those whom an application or a decision is about, or propose to."""
    from obligor.serving.privacy.erasing import order_to_erase

    async def done(store: Store, sealer: Sealer, office: Office) -> Told:
        async def erased(it: bytes, office: Office) -> dict[str, Any]:
            return await office.erase(it, key=store.key, account_closed=account_closed)

        subjects = await _subjects(store, sealer, subject, application, decision)
        orders = {it: order_to_erase(it, account_closed=account_closed, because=because) for it in subjects}
        certificates, waiting = await _by_two(store, office, orders, erased)
        lines = [f"erased: {it['decisions']} decisions, {it['keys_destroyed']} keys destroyed" for it in certificates]
        untold = sorted({name for it in certificates for name in await office.not_told(bytes.fromhex(it["subject"]))})
        lines += [
            f"not told: {name} has decisions on them, and no endpoint that listens to person.erased" for name in untold
        ]
        return _with_proposals({"certificates": certificates}, lines, waiting)

    return _in_office(done, permission="privacy.erase")


def export(subject: str | None, *, application: str | None, decision: UUID | None = None) -> Told:
    """Give all that is kept of a person; what is broken is left out, and told in lines."""
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.releases.release import Releases
    from obligor.serving.releases.wording import in_words

    async def done(store: Store, sealer: Sealer, office: Office) -> Told:
        opener, releases = Opener(sealer, store.recorder, store.sources), Releases(store.archive)

        async def words(record: Mapping[str, Any]) -> dict[str, Any]:
            return await asyncio.to_thread(in_words, await releases.pinned(record["pins"]), record)

        subjects = await _subjects(store, sealer, subject, application, decision)
        told = [await office.export(it, opener=opener, words=words) for it in subjects]
        left_out = (
            f"decision {it}: what is kept otherwise than it was recorded is left out"
            for one in told
            for it in one["broken"]
        )
        return Told({"subjects": told}, tuple(left_out))

    return _in_office(done, permission="privacy.export")


def hold(subject: str | None, *, application: str | None, decision: UUID | None = None, because: str) -> Told:
    """Place a legal hold, or propose to."""
    from obligor.serving.privacy.erasing import order_to_hold

    async def done(store: Store, sealer: Sealer, office: Office) -> Told:
        orders = {
            it: order_to_hold(it, because=because)
            for it in await _subjects(store, sealer, subject, application, decision)
        }
        held = await _by_two(store, office, orders, lambda it, office: office.hold(it, because=because))
        return _standing(*held, "held: it is not erased until the hold is released")

    return _in_office(done, permission="privacy.hold")


def release(subject: str | None, *, application: str | None, decision: UUID | None = None, because: str = "") -> Told:
    """Release a legal hold, or propose to."""
    from obligor.serving.privacy.erasing import order_to_release

    async def done(store: Store, sealer: Sealer, office: Office) -> Told:
        subjects = await _subjects(store, sealer, subject, application, decision)
        seen = {it: await office.standing(it) for it in subjects}
        orders = {it: order_to_release(found, because=because) for it, found in seen.items()}
        free = await _by_two(store, office, orders, lambda it, office: office.release(seen[it]))
        return _standing(*free, "released: it may be erased once it need not be kept")

    return _in_office(done, permission="privacy.hold")


def rotate_data_keys(progress: Progress, *, because: str = "") -> Told:
    """Wrap the keys of all subjects by a new key, and retire the old ones, or propose to; begun before, it goes on."""
    from obligor.security.sealing import DATA, open_keyring

    settings = service_settings()

    async def done(store: Store) -> Told:
        by = await acting(store, "key.rotate")
        if not by:
            raise InvalidInputError("a rotation is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")
        ring, kms = await open_keys(store, settings), open_kms(settings)
        if ring.min_version == ring.current:  # else one was begun and not ended
            waits = await _begin(store, ring, kms, by=by, because=because)
            if waits is not None:
                return _with_proposals({}, [], [waits])
        kept = await store.privacy.keyring()
        ring = open_keyring(kept, kms, random=store.sources.random)
        old = [it for it in kept if it.purpose == DATA and it.wrapped and it.version < ring.current]
        count = await _wrap_anew(store, ring, old, by=by, progress=progress)
        plain = {"version": ring.current, "wrapped": count, "retired": [it.version for it in old]}
        return Told(plain, (f"version {ring.current}: {count:,} keys wrapped anew; older versions open nothing",))

    return with_anchored_store(done, settings)


async def _begin(store: Store, ring: Keyring, kms: Kms, *, by: str, because: str) -> Proposed | None:
    """Make the next version of the key, or propose to."""
    from obligor.security.sealing import DATA, make_kept
    from obligor.serving.people.proposals import Order
    from obligor.serving.privacy.erasing import record_keys
    from obligor.serving.rows import ProposalRow

    made = make_kept(DATA, ring.current + 1, kms)
    begun = await (await open_proposals(store)).together(
        Order("datakey.created", {"version": made.version}, because),
        lambda recorder: record_keys((made,), kind="datakey.created", by=by, recorder=recorder, sources=store.sources),
        by=by,
    )
    return proposed(begun) if isinstance(begun, ProposalRow) else None


async def _wrap_anew(store: Store, ring: Keyring, old: list[KeptKey], *, by: str, progress: Progress) -> int:
    """Wrap the keys of all subjects by the newest version until the older ones are retired; give how many there were."""
    from obligor.adapters.store.privacy import wrap_anew

    if await store.privacy.behind(ring.current + 1):
        await asyncio.sleep(_HEARD_S)  # so that no service makes a key under a version that is retired meanwhile
    count = 0
    with progress.step("wrapping keys", total=await store.privacy.behind(ring.current)) as advance:
        for _ in range(_PATIENCE):
            count += await asyncio.to_thread(wrap_anew, store.url, ring, advance=advance)
            if await _retired(store, old, by=by):
                return count
            await asyncio.sleep(_PAUSE_S)
    raise UnavailableError("a service still makes keys under the old version; run it again")


async def _retired(store: Store, old: list[KeptKey], *, by: str) -> bool:
    """Retire versions in one step with the check that they wrap nothing; whoever decides under one then is refused."""
    from obligor.serving.privacy.erasing import record_keys

    if await store.privacy.behind(max(it.version for it in old) + 1):
        return False
    gone = [replace(it, wrapped=None) for it in old]
    try:
        await record_keys(gone, kind="datakey.retired", by=by, recorder=store.recorder, sources=store.sources)
    except IntegrityError:
        return False
    return True


async def _subjects(
    store: Store, sealer: Sealer, subject: str | None, application: str | None, decision: UUID | None
) -> tuple[bytes, ...]:
    """Name the subjects that are meant: by a person's identifier, by an application's, or by a decision's."""
    from obligor.serving.privacy.orders import subjects_meant

    return await subjects_meant(
        sealer.keyring, store.privacy, person=subject, application=application, decision=decision
    )


async def _by_two(
    store: Store, office: Office, orders: Mapping[bytes, Order], work: Callable[[bytes, Office], Awaitable[Done]]
) -> tuple[list[Done], list[Proposed]]:
    """Do what is ordered of each subject, or propose it."""
    from obligor.serving.rows import ProposalRow

    proposals = await open_proposals(store)
    did: list[Done] = []
    waiting: list[Proposed] = []
    for subject, order in orders.items():

        def ordered(recorder: Recorder, subject: bytes = subject) -> Awaitable[Done]:
            return work(subject, replace(office, recorder=recorder))

        done = await proposals.together(order, ordered, by=office.by)
        if isinstance(done, ProposalRow):
            waiting.append(proposed(done))
        else:
            did.append(done)
    return did, waiting


def _with_proposals(plain: dict[str, Any], lines: Sequence[str], waiting: Sequence[Proposed]) -> Told:
    told = plain | ({"proposals": [it.to_plain() for it in waiting]} if waiting else {})
    return Told(told, (*lines, *(line for it in waiting for line in it.lines())))


def _standing(found: list[Standing], waiting: list[Proposed], said: str) -> Told:
    plain = [{"subject": it.subject.hex(), "decisions": it.decisions, "held": it.hold is not None} for it in found]
    return _with_proposals({"subjects": plain}, [f"{it.subject.hex()[:12]}: {said}" for it in found], waiting)


def _in_office(work: Callable[[Store, Sealer, Office], Awaitable[Done]], *, permission: str) -> Done:
    from obligor.serving.privacy.erasing import Office

    retain_days, settings = read_retain_days(os.environ), service_settings()

    async def done(store: Store) -> Done:
        by = await acting(store, permission)
        office = Office(store.privacy, store.recorder, store.sources, by, retain_days, active_packs(os.environ))
        return await work(store, await open_sealer(store, settings), office)

    return with_anchored_store(done, settings)
