"""What people may ask of their data: to be forgotten, to be told all, and, for the lender, to hold what a court may need.

Erasing destroys every key of a subject; the records and their leaves stay, and verify as before, but nobody reads what they
hold. It is refused while a legal hold stands, and while records must be kept. Every one of these is an act with a leaf.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from obligor.core.canonical import canonical_json
from obligor.core.errors import ClashError, GateError, IntegrityError, InvalidInputError, NotFoundError, SealError
from obligor.core.event_types import PERSON_ERASED
from obligor.core.leaves import time_text
from obligor.governance.law.packs import keep_until
from obligor.serving.acts import Act, Submission
from obligor.serving.answers import record_of
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.people.proposals import Order
from obligor.serving.privacy.sealed import without_seal
from obligor.serving.privacy.telling import ERASED, LOST, told_to_the_subject
from obligor.serving.rows import RETAINED, ErasedRow, HoldRow, KeyringRow, OutboxRow
from obligor.serving.said import MOST_BECAUSE, says_why

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from obligor.governance.law.packs import Day, Kept, Pack
    from obligor.security.sealing import KeptKey
    from obligor.security.signing import SigningKey
    from obligor.serving.acts import Recorder
    from obligor.serving.archive import Stored, StoredDecision, StoredRecord
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.privacy.sealed import Opened
    from obligor.serving.rows import Row
    from obligor.serving.sources import Sources

    Words = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]

PURPOSE: Final = "erasure"
_SCHEMA: Final = "obligor/erasure/1"
_TOLD_AT_ONCE: Final = 500
"""Decisions that one event names, at most."""
_AT_ONCE: Final = 8
"""Holds on one person that are placed at one instant, at most."""
NOTIFIED_WITHIN: Final = timedelta(days=30)
"""After a decision: the last day on which its notice is due, from which the longest clock may run."""
NOTIFIED_OF_OFFER: Final = timedelta(days=90)
"""The same after a counter-offer."""


class Concerned(NamedTuple):
    """A client with decisions on a subject: which, and whether an endpoint of theirs listens to erasures."""

    client_id: str
    decisions: Sequence[UUID]
    listens: bool


class Subjects(Protocol):
    """Where it is kept what is known of a subject."""

    async def standing(self, subject: bytes) -> dict[str, Any]:
        """Tell ``decisions``, ``latest``, ``keys``, ``erased_at``, ``held_because``, ``held_since`` and ``retained_since``."""
        ...

    async def decisions(self, subject: bytes) -> Sequence[StoredDecision]:
        """Give the decisions on a subject, in the order of the log."""
        ...

    async def concerned(self, subject: bytes) -> Sequence[Concerned]:
        """Give the clients with decisions on a subject."""
        ...

    async def reviews(self, subject: bytes) -> Sequence[StoredRecord]:
        """Give what was asked of those decisions and what was found, in the order of the log."""
        ...

    async def outcomes(self, subject: bytes) -> Sequence[StoredRecord]:
        """Give what was reported of those decisions, in the order of the log."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What is kept of a subject, and what stands against erasing it."""

    subject: bytes
    decisions: int
    latest: datetime | None
    """When the last decision was made, by a policy or by a person in its place, or a person reviewed one."""
    keys: int
    """Keys that are not destroyed."""
    erased_at: datetime | None
    held_because: str | None
    """What somebody placed a hold for that stands."""
    held_since: datetime | None = None
    retained_since: datetime | None = None
    """Since when an alert holds them that nobody cleared, which nobody who erases may learn of."""

    @property
    def hold(self) -> str | None:
        """What they are held for, the one and the other told alike; None where they are not."""
        said = self.held_because
        if self.retained_since is None or (said is not None and RETAINED in said):
            return said
        return RETAINED if said is None else f"{said}; {RETAINED}"

    def kept_until(self, retain_days: int) -> date | None:
        """Give the day before which a record may not be erased."""
        return None if self.latest is None else self.latest.date() + timedelta(days=retain_days)


@dataclass(frozen=True, slots=True)
class Office:
    """Does what people may ask of their data, in somebody's name."""

    subjects: Subjects
    recorder: Recorder
    sources: Sources
    by: str
    retain_days: int
    packs: Sequence[Pack] = ()
    """The rule packs that are active: what they ask to be kept is not erased before."""

    def __post_init__(self) -> None:
        if not self.by or not self.by.isprintable():
            raise InvalidInputError("this is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")

    async def standing(self, subject: bytes) -> Standing:
        """Look at a subject.

        Raises
        ------
        NotFoundError
            Where nothing is kept of it.
        """
        found = Standing(subject, **await self.subjects.standing(subject))
        if not found.decisions:
            raise NotFoundError("nothing is kept of this subject; wanted the identifier as the applications give it")
        return found

    async def erase(self, subject: bytes, *, key: SigningKey, account_closed: date | None = None) -> dict[str, Any]:
        """Destroy the keys of a subject, and give the certificate; of one that was erased before, a certificate of that.

        Parameters
        ----------
        account_closed
            When the account of an approved applicant was closed, as whoever erases knows; rules on identity count from it.

        Raises
        ------
        NotFoundError
            Where nothing is kept of the subject.
        GateError
            Where a hold stands, or a rule or the lender asks that records are kept still.
        ClashError
            Where something was decided on them meanwhile, which may have to be kept.
        """
        found = await self.standing(subject)
        at = self.sources.now()
        if not found.keys:
            return certificate_of(self._about(subject, at=found.erased_at or at) | _counted(found), key)
        self._refuse(found, at)
        await self._refuse_by_law(found, at.date(), account_closed)
        concerned = await self.subjects.concerned(subject)
        closed = None if account_closed is None else account_closed.isoformat()
        said = _counted(found) | {"account_closed": closed, "not_told": _not_told(concerned)}
        row = ErasedRow(subject, at, found.decisions, found.latest)
        erased, act = self._act("erased", subject, said, (row,), at=at)
        try:
            await self._submit(*self._tell(subject, concerned, at), act)
        except IntegrityError:
            now = await self.standing(subject)
            _refuse_held(now)  # a hold was placed in this moment, and the store refused
            if (now.decisions, now.latest) == (found.decisions, found.latest):
                raise
            raise ClashError(
                f"subject {_short(subject)}: something was decided on them in this moment; nothing was erased"
            ) from None
        return certificate_of(erased, key)

    async def not_told(self, subject: bytes) -> list[str]:
        """Name the clients with decisions on a subject who are told of no erasure, for no endpoint of theirs listens."""
        return _not_told(await self.subjects.concerned(subject))

    def _tell(self, subject: bytes, concerned: Iterable[Concerned], at: datetime) -> list[Act]:
        """Tell clients whose systems listen which of their decisions were on a person who is erased."""
        acts = []
        for client_id, ids, listens in concerned:
            for start in range(0, len(ids) if listens else 0, _TOLD_AT_ONCE):
                told = [str(it) for it in ids[start : start + _TOLD_AT_ONCE]]
                said = {"decision_ids": told, "erased_at": time_text(at)}
                event = OutboxRow(self.sources.new_id(at), client_id, None, PERSON_ERASED, encode_in_order(said), at)
                acts.append(self._act("erasure.told", subject, said | {"client_id": client_id}, (event,), at=at)[1])
        return acts

    async def export(self, subject: bytes, *, opener: Opener, words: Words) -> dict[str, Any]:
        """Give all that is kept of a subject, opened; that it was given is an act.

        What is kept otherwise than it was recorded is not theirs for sure, and is left out: ``broken`` names each decision of
        which something was. The rest is theirs to see (GDPR, Article 15), whoever tampered with it.

        Parameters
        ----------
        words
            Explains a decision in words from its record, by the release that made it.

        Raises
        ------
        NotFoundError
            Where nothing is kept of the subject.
        """
        found = await self.standing(subject)
        broken: set[str] = set()
        opened = await _whole(opener, await self.subjects.decisions(subject), broken)
        reviews = await _whole(opener, await self.subjects.reviews(subject), broken)
        outcomes = await _whole(opener, await self.subjects.outcomes(subject), broken)
        at = self.sources.now()
        await self._record(
            "revealed", subject, {"decisions": found.decisions, "purpose": "request of the subject"}, (), at=at
        )
        return {
            "schema": "obligor/subject/2",
            "subject": subject.hex(),
            "at": time_text(at),
            "decisions": [await _explained(it, words) for it in opened],
            "reviews": [without_seal(it.record) | {"erased": it.erased} for it in reviews],
            "outcomes": [it.record for it in outcomes],
            "broken": sorted(broken),
        }

    async def hold(self, subject: bytes, *, because: str) -> Standing:
        """Place a legal hold: what is kept of a subject is not erased until it is released.

        Where one stands, what it stands for stays beside what this one is for: both are released together.
        """
        if not says_why(because):
            raise InvalidInputError(f"a hold needs its reason; wanted 1 to {MOST_BECAUSE} printable characters")
        refuse_card_data_in("because", because)
        for _ in range(_AT_ONCE):
            with suppress(IntegrityError):  # another was placed in this moment, which is kept, too
                await self._place(await self.standing(subject), because)
                return await self.standing(subject)
        raise _changed(subject, "placed")

    async def _place(self, found: Standing, because: str) -> None:
        at, before = self.sources.now(), found.held_because
        whole = because if before in (None, because) else f"{before}; {because}"
        row = HoldRow(found.subject, whole, found.held_since or at, self.by, None, before)
        await self._record("hold.placed", found.subject, _of_hold(row), (row,), at=at)

    async def release(self, found: Standing) -> Standing:
        """Release the hold that was seen, and no other.

        Raises
        ------
        InvalidInputError
            Where none stands.
        ClashError
            Where it stands for more since, or was released.
        """
        subject = found.subject
        if found.hold is None:
            raise InvalidInputError(f"subject {_short(subject)}: no hold stands")
        at = self.sources.now()
        since = found.held_since or found.retained_since or at
        row = HoldRow(subject, found.hold, since, self.by, at, found.held_because)
        try:
            await self._record("hold.released", subject, _of_hold(row), (row,), at=at)
        except IntegrityError:
            raise _changed(subject, "released") from None
        return await self.standing(subject)

    def _refuse(self, found: Standing, at: datetime) -> None:
        _refuse_held(found)
        until = found.kept_until(self.retain_days)
        if until is not None and at.date() < until:
            raise GateError(
                f"subject {_short(found.subject)}: the last decision must be kept until {until}; nothing was erased",
                hint=f"OBLIGOR_RETAIN_DAYS is {self.retain_days}",
            )

    async def _refuse_by_law(self, found: Standing, on: date, account_closed: date | None) -> None:
        """Refuse what a rule pack asks to be kept, and name the rule."""
        if found.latest is None or not self.packs:
            return
        decided = found.latest.date()
        notified = max([decided + NOTIFIED_WITHIN, *await self._notified_of_offers(found.subject)])
        days: dict[Day, date] = {"applied": decided, "decided": decided, "notified": notified}
        if account_closed is not None:
            days["account_closed"] = account_closed
        kinds: list[Kept] = ["decision"]
        if await self._identified(found.subject):
            kinds.append("identity")
        for kind in kinds:
            keeping = keep_until(self.packs, of=kind, days=days, on=on)
            if keeping.until is None:
                raise GateError(
                    f"subject {_short(found.subject)}: a rule keeps their {kind} since {keeping.because}, a day that is not "
                    "known; nothing was erased",
                    hint="tell it with --account-closed" if keeping.because == "account_closed" else None,
                )
            if keeping.because != "nothing" and on <= keeping.until:
                raise GateError(
                    f"subject {_short(found.subject)}: {keeping.because} asks that their {kind} is kept until "
                    f"{keeping.until}; nothing was erased"
                )

    async def _notified_of_offers(self, subject: bytes) -> list[date]:
        """Give the last days on which notices of the subject's counter-offers were due."""
        records = map(record_of, await self.subjects.reviews(subject))
        offered = (date.fromisoformat(it["done_on"]) for it in records if it.get("step") == "offered")
        return [it + NOTIFIED_OF_OFFER for it in offered]

    async def _identified(self, subject: bytes) -> bool:
        """Tell whether an approval of the subject, by a policy or by a person, rests on evidence of identity."""
        decisions = await self.subjects.decisions(subject)
        said: list[Stored] = [*decisions, *await self.subjects.reviews(subject)]
        approved = {it.decision_id for it in said if record_of(it).get("outcome") == "approve"}
        gates = [record_of(it)["gates"] for it in decisions if it.decision_id in approved]
        return any(it.get("kyc", {}).get("state", "off") != "off" for it in gates)

    async def _record(
        self, kind: str, subject: bytes, said: dict[str, Any], rows: tuple[Row, ...], *, at: datetime
    ) -> None:
        """Record an act on a subject."""
        await self._submit(self._act(kind, subject, said, rows, at=at)[1])

    def _act(
        self, kind: str, subject: bytes, said: dict[str, Any], rows: tuple[Row, ...], *, at: datetime
    ) -> tuple[dict[str, Any], Act]:
        """Make an act on a subject, and give what its record says."""
        body = self._about(subject, at=at) | said
        return body, Act(kind, at, f"person:{self.by}", subject.hex(), encode(body), self.sources.salt(), rows)

    async def _submit(self, *acts: Act) -> None:
        await self.recorder.record(Submission(acts, lambda _: b""))

    def _about(self, subject: bytes, *, at: datetime) -> dict[str, Any]:
        return {"schema": "obligor/privacy/1", "subject": subject.hex(), "by": self.by, "at": time_text(at)}


async def _whole(opener: Opener, stored: Sequence[Stored], broken: set[str]) -> list[Opened]:
    """Open what is what was recorded; of the rest, add to ``broken`` of which decision it is."""
    opened = await opener.open_each(stored)
    broken |= {str(it.decision_id) for it, got in zip(stored, opened, strict=True) if isinstance(got, SealError)}
    return [it for it in opened if not isinstance(it, SealError)]


async def _explained(opened: Opened, words: Words) -> dict[str, Any]:
    """Give what the person of a decision is told of it, with its explanation, or why there is none."""
    told = told_to_the_subject(without_seal(opened.record)) | {"erased": opened.erased}
    if opened.erased:
        return told | {"explanation": None, "unexplained": ERASED}
    try:
        return told | {"explanation": await words(opened.record), "unexplained": None}
    except (IntegrityError, InvalidInputError):
        return told | {"explanation": None, "unexplained": LOST}


def certificate_of(erased: Mapping[str, Any], key: SigningKey) -> dict[str, Any]:
    """Sign what the record of an erasure says of it, for the person who was erased."""
    told = {"subject": erased["subject"], "erased_at": erased["at"], "decisions": erased["decisions"]}
    said = {"schema": _SCHEMA} | told | {"keys_destroyed": erased["keys"]}
    signature = key.sign_statement(canonical_json(said), purpose=PURPOSE).hex()
    return said | {"signature": signature, "key": key.verifier.text()}


def _refuse_held(found: Standing) -> None:
    if found.hold is not None:
        raise GateError(f"subject {_short(found.subject)}: a legal hold stands; nothing was erased") from None


def order_to_erase(subject: bytes, *, account_closed: date | None = None, because: str = "") -> Order:
    """Say that a subject is to be erased, which takes two people."""
    closed = None if account_closed is None else account_closed.isoformat()
    return Order("erased", {"subject": subject.hex(), "account_closed": closed}, because)


def order_to_hold(subject: bytes, *, because: str) -> Order:
    """Say that a subject is to be held, which takes two people."""
    return Order("hold.placed", {"subject": subject.hex(), "because": because}, because)


def order_to_release(found: Standing, *, because: str = "") -> Order:
    """Say that the hold on a subject is to be released, which takes two people: of this hold, and not of a further one."""
    return Order("hold.released", {"subject": found.subject.hex(), "held_because": found.hold}, because)


async def record_keys(keys: Sequence[KeptKey], *, kind: str, by: str, recorder: Recorder, sources: Sources) -> None:
    """Record keys of the deployment that were made, or retired (those without what is wrapped).

    Raises
    ------
    IntegrityError
        Where one is to be retired that still wraps the key of a subject.
    """
    at = sources.now()
    acts = []
    for it in keys:
        name = f"{it.purpose}-{it.version}"
        said = {
            "schema": "obligor/data-key/1",
            "purpose": it.purpose,
            "version": it.version,
            "proof": it.proof.hex(),
            "at": time_text(at),
            "retired_at": time_text(at) if it.wrapped is None else None,
        }
        row = KeyringRow(it.purpose, it.version, it.wrapped, it.proof, at, at if it.wrapped is None else None)
        acts.append(Act(kind, at, f"person:{by}", name, encode(said), sources.salt(), (row,)))
    await recorder.record(Submission(tuple(acts), lambda _: b""))


def _counted(found: Standing) -> dict[str, Any]:
    return {"decisions": found.decisions, "keys": found.keys}


def _not_told(concerned: Iterable[Concerned]) -> list[str]:
    return [it.client_id for it in concerned if not it.listens]


def _of_hold(row: HoldRow) -> dict[str, Any]:
    released = None if row.released_at is None else time_text(row.released_at)
    return {"because": row.because, "placed_at": time_text(row.placed_at), "released_at": released}


def _changed(subject: bytes, done: str) -> ClashError:
    return ClashError(f"subject {_short(subject)}: their hold was changed meanwhile; nothing was {done}")


def _short(subject: bytes) -> str:
    return subject.hex()[:12]
