"""What people do with alerts: look at them, and clear those that are of somebody else.

Who may not read alerts is told that there is none, as for one that never was. From a certain score on, two people clear one.
What was cleared is a hit no more for this person and this entry, for as long as the clearance says, and as the list says the
same of the entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

import msgspec

from obligor.core.errors import ClashError, ForbiddenError, IntegrityError, NotFoundError
from obligor.core.leaves import time_text
from obligor.governance.audit.restores import are_one_person
from obligor.security.permissions import allow, may
from obligor.serving.acts import Act, AlertStepRow, Submission
from obligor.serving.answers import with_receipt
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.idempotency import check_key
from obligor.serving.once import field_error, once, read_said, request_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.once import Answers
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


class Clearance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
        clearance = read_clearance(body)
        said = [str(alert_id), clearance.because, clearance.days]
        return await once(
            *(self.answers, self.recorder, request_of(caller, route=ROUTE, key=key, said=said)),
            lambda recorder: self.step(alert_id, clearance, by=caller.subject, recorder=recorder),
            told=_told,
        )

    async def step(
        self, alert_id: UUID, clearance: Clearance, *, by: str, recorder: Recorder | None = None
    ) -> Recorded:
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
        _check_step(stored, by)
        first = stored.proposed_by is None and stored.score >= SECOND_FROM
        until = at + timedelta(days=clearance.days)
        row = AlertStepRow(alert_id, "proposed" if first else "cleared", clearance.because, until, at, by)
        respond = partial(with_receipt, encode_in_order(_told_of_step(row)))
        try:
            return await (recorder or self.recorder).record(Submission((self._act(row),), respond))
        except IntegrityError:
            raise ClashError("somebody else was quicker with this alert") from None

    def _act(self, row: AlertStepRow) -> Act:
        said = {
            "schema": SCHEMA,
            "alert_id": str(row.alert_id),
            "step": row.step,
            "because": row.because,
            "until": time_text(row.until),
            "at": time_text(row.at),
            "by": row.by,
        }
        kind, subject = f"alert.{row.step}", str(row.alert_id)
        return Act(kind, row.at, f"person:{row.by}", subject, encode(said), self.sources.salt(), (row,))

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


def _told(submission: Submission) -> dict[str, Any]:
    (row,) = submission.acts[0].rows
    return _told_of_step(row)  # type: ignore[arg-type]  # of the one act of a clearance


def _told_of_step(row: AlertStepRow) -> dict[str, Any]:
    times = {"until": time_text(row.until), "at": time_text(row.at)}
    return {"alert_id": str(row.alert_id), **times, "state": row.step}


def read_clearance(body: bytes) -> Clearance:
    """Read why an alert is cleared, strictly.

    Raises
    ------
    ApplicationError
        Naming the field; what it says is not repeated.
    """
    clearance = read_said(body, Clearance, what="clearance", most=MOST_BYTES)
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
        raise field_error("clearance", "because", f"wanted 1 to {_MOST_BECAUSE} printable characters")
    if not 1 <= clearance.days <= MOST_DAYS:
        raise field_error("clearance", "days", f"wanted 1 to {MOST_DAYS}")


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
