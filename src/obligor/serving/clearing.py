"""What people do with alerts: look at them, and clear those that are of somebody else.

Who may not read alerts is told that there is none, as for one that never was. From a certain score on, two people clear one.
What was cleared is a hit no more for this person and this entry, for as long as the clearance says, and as the list says the
same of the entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

import msgspec

from obligor.core.errors import ApplicationError, ClashError, ForbiddenError, IntegrityError, NotFoundError, Problem
from obligor.core.leaves import time_text
from obligor.core.strict_json import read_strict_json
from obligor.governance.audit.restores import are_one_person
from obligor.security.permissions import allow, may
from obligor.serving.acts import Act, AlertStepRow, Request, Submission
from obligor.serving.answers import with_receipt
from obligor.serving.card_data import refuse_card_data
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.idempotency import check_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.sources import Sources

SCHEMA: Final = "obligor/alert-step/1"
ROUTE: Final = "alerts/clearances"
SECOND_FROM: Final = 9500
"""The score, in ten-thousandths, from which two people clear an alert."""
MOST_DAYS: Final = 730
MOST_BYTES: Final = 4096
MOST_LISTED: Final = 200
_MOST_BECAUSE: Final = 500


class StoredAlert(NamedTuple):
    """An alert as it is kept, with what came of it."""

    alert_id: UUID
    decision_id: UUID
    client_id: str
    entry: str
    score: int
    list_sha256: str
    opened_at: datetime
    record: bytes
    proposed_by: str | None
    cleared_by: str | None
    because: str | None
    until: datetime | None

    def state(self, at: datetime) -> str:
        """Tell how it stands: open, proposed (waits for a second person), cleared, or expired (cleared, and over)."""
        if self.cleared_by is not None and self.until is not None:
            return "cleared" if at < self.until else "expired"
        return "open" if self.proposed_by is None else "proposed"


class Alerts(Protocol):
    """Where alerts are found."""

    async def alert(self, alert_id: UUID) -> StoredAlert | None:
        """Find an alert."""
        ...

    async def alerts(self, *, limit: int) -> Sequence[StoredAlert]:
        """Give the alerts that nobody has cleared: the most alike first, equal ones in the order of the log."""
        ...


class Answers(Protocol):
    """Where answers are found."""

    async def answer(self, request: Request) -> tuple[bytes, Recorded] | None:
        """Give the answer that a request was given, where it was recorded."""
        ...


class Clearance(msgspec.Struct, frozen=True):
    """Why an alert is of somebody else, and for how long that holds."""

    because: str
    days: int = 365


@dataclass(frozen=True, slots=True)
class AlertDesk:
    """The queue of alerts."""

    archive: Alerts
    answers: Answers
    recorder: Recorder
    sources: Sources

    async def alerts(self, caller: Caller) -> list[dict[str, Any]]:
        """Give the alerts that wait for somebody.

        Raises
        ------
        NotFoundError
            Where the caller may not know of any.
        """
        _check_reader(caller)
        return await self.waiting()

    async def waiting(self) -> list[dict[str, Any]]:
        """Give the alerts that nobody has cleared."""
        at = self.sources.now()
        return [plain(it, at) for it in await self.archive.alerts(limit=MOST_LISTED)]

    async def alert(self, caller: Caller, alert_id: UUID) -> dict[str, Any]:
        """Give one alert, and why it was opened.

        Raises
        ------
        NotFoundError
            Where there is none, or the caller may not know of it.
        """
        _check_reader(caller)
        return plain(await self.found(alert_id), self.sources.now(), why=True)

    async def clear(self, caller: Caller, *, key: str, alert_id: UUID, body: bytes) -> Recorded:
        """Clear an alert, or propose to, as a person at a door.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, ApplicationError, KeyReusedError, UnavailableError
            As they say.
        """
        _check_reader(caller)
        allow(caller, "alert.clear")
        check_key(key)
        refuse_card_data(body)
        clearance = read_clearance(body)
        payload = sha256(encode([str(alert_id), clearance.because, clearance.days])).digest()
        return await self.step(
            alert_id, clearance, by=caller.subject, request=Request(caller.client_id, ROUTE, key, payload)
        )

    async def step(self, alert_id: UUID, clearance: Clearance, *, by: str, request: Request | None = None) -> Recorded:
        """Record that a person clears an alert; from a certain score on, another person must have proposed it.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, UnavailableError
            As they say.
        """
        check_clearance(clearance)
        if not by.strip():
            raise ForbiddenError("to clear an alert is a person's act; wanted a name", hint="set OBLIGOR_AUTHOR")
        stored, at = await self.found(alert_id), self.sources.now()
        first = stored.proposed_by is None and stored.score >= SECOND_FROM
        if request is None or await self.answers.answer(request) is None:  # sent again, it is answered as before
            _check_step(stored, by)
        row = AlertStepRow(
            alert_id,
            "proposed" if first else "cleared",
            clearance.because,
            at + timedelta(days=clearance.days),
            at,
            by,
        )
        said = {
            "schema": SCHEMA,
            "alert_id": str(alert_id),
            "step": row.step,
            "because": row.because,
            "until": time_text(row.until),
            "at": time_text(at),
            "by": by,
        }
        told = {name: said[name] for name in ("alert_id", "until", "at")} | {"state": row.step}
        act = Act(f"alert.{row.step}", at, f"person:{by}", str(alert_id), encode(said), self.sources.salt(), (row,))
        respond = partial(with_receipt, encode_in_order(told))
        try:
            return await self.recorder.record(Submission((act,), respond, request, 201))
        except IntegrityError:
            raise ClashError("somebody else was quicker with this alert") from None

    async def found(self, alert_id: UUID) -> StoredAlert:
        """Find an alert."""
        stored = await self.archive.alert(alert_id)
        if stored is None:
            raise _nothing()
        return stored


def plain(stored: StoredAlert, at: datetime, *, why: bool = False) -> dict[str, Any]:
    """Tell of an alert, to who may read it."""
    told: dict[str, Any] = {
        "alert_id": str(stored.alert_id),
        "decision_id": str(stored.decision_id),
        "client_id": stored.client_id,
        "entry": stored.entry,
        "score": stored.score / 10_000,
        "list_sha256": stored.list_sha256,
        "opened_at": time_text(stored.opened_at),
        "state": stored.state(at),
        "needs_second": stored.score >= SECOND_FROM,
        "proposed_by": stored.proposed_by,
        "cleared_by": stored.cleared_by,
        "because": stored.because,
        "until": None if stored.until is None else time_text(stored.until),
    }
    if why:
        said = msgspec.json.decode(stored.record)
        told |= {name: said[name] for name in ("why", "algorithm", "rules_sha256")}
    return told


def read_clearance(body: bytes) -> Clearance:
    """Read why an alert is cleared, strictly.

    Raises
    ------
    ApplicationError
        Naming the field; what it says is not repeated.
    """
    said = read_strict_json(body, what="clearance", error=ApplicationError)
    if not isinstance(said, dict):
        raise ApplicationError("clearance: wanted an object")
    for name in said:
        if name not in Clearance.__struct_fields__:
            raise _wrong(str(name)[:80], "is not known; wanted because and days")
    try:
        clearance = msgspec.convert(said, Clearance)
    except msgspec.ValidationError:
        raise _wrong("because", "wanted a text, and days as a whole number") from None
    check_clearance(clearance)
    return clearance


def check_clearance(clearance: Clearance) -> None:
    """Refuse a clearance without a reason, or for too long.

    Raises
    ------
    ApplicationError
        Naming the field.
    """
    because = clearance.because
    if not because.strip() or len(because) > _MOST_BECAUSE or not because.isprintable():
        raise _wrong("because", f"wanted 1 to {_MOST_BECAUSE} printable characters")
    if not 1 <= clearance.days <= MOST_DAYS:
        raise _wrong("days", f"wanted 1 to {MOST_DAYS}")


def _wrong(field: str, message: str) -> ApplicationError:
    return ApplicationError(f"clearance: {field}: {message}", problems=(Problem((field,), message),))


def _check_step(stored: StoredAlert, by: str) -> None:
    if stored.cleared_by is not None:
        raise ClashError("this alert was cleared before")
    if stored.proposed_by is not None and are_one_person(stored.proposed_by, by):
        raise ForbiddenError("so strong an alert is cleared by another person than who proposed it")


def _check_reader(caller: Caller) -> None:
    if not may(caller, "alert.read"):
        raise _nothing()


def _nothing() -> NotFoundError:
    return NotFoundError("there is none")
