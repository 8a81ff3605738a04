"""What people do with alerts from the command line; and decisions are screened again without waiting for a service."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import msgspec

from obligor.bootstrap.acting import acting, with_reader
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.gates import open_screening
from obligor.bootstrap.privacy import open_sealer
from obligor.bootstrap.store import service_settings
from obligor.core.errors import InvalidInputError, ObligorError, UnavailableError
from obligor.settings import read_gate_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from obligor.bootstrap.store import Store
    from obligor.progress import Progress as Steps
    from obligor.screening.lists import ListKind
    from obligor.serving.rows import Finding
    from obligor.serving.screening.alert_steps import Said
    from obligor.serving.screening.desk import AlertDesk
    from obligor.serving.screening.rescreening import Progress, Rescreening

_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Queue:
    """The alerts that wait for somebody, those confirmed, and how far the decisions of the store were screened."""

    alerts: Sequence[Mapping[str, Any]]
    reached: Sequence[Reach]
    yearly_reports: Sequence[Mapping[str, Any]] = ()

    @property
    def left(self) -> int:
        """Decisions that are still to be looked at, on any list."""
        return sum(it.left for it in self.reached)

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        reached = {it.kind: it.to_plain() for it in self.reached}
        told = {"screening": reached.get("sanctions"), "pep_screening": reached.get("pep")}
        return {"alerts": [*self.alerts], "yearly_reports": [*self.yearly_reports], **told}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        told = [
            f"{it['alert_id']}  {it['score']:.4f}  {_of_kind(it)}entry {it['entry']}  decision {it['decision_id']}  "
            f"{it['state']}{_report(it)}"
            for it in self.alerts
        ]
        yearly = [f"{_yearly_reported(it)}, says {it['by']}{_why(it)}" for it in self.yearly_reports]
        reached = [it.line() for it in self.reached] or ["no list was loaded, or nothing was screened against it yet"]
        return [*(told or ["no alert waits"]), *yearly, *reached]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the decisions of the store were screened against the list of a kind."""

    kind: ListKind
    progress: Progress
    left: int
    """Decisions that are still to be looked at."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.progress._asdict() | {"left": self.left}

    def line(self) -> str:
        """Say it in a line for a person."""
        done, it = "every decision" if not self.left else f"all but {self.left:,} decisions", self.progress
        return (
            f"{'list' if self.kind == 'sanctions' else f'list of {self.kind}'} {it.list_sha256[:12]}: {done} looked at, "
            f"{it.screened:,} screened, {it.opened:,} alerts opened"
            + (f", {it.not_comparable:,} without a name to compare" if it.not_comparable else "")
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """One alert."""

    alert: Mapping[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return dict(self.alert)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        it, why = self.alert, self.alert["why"]
        told = [
            f"alert {it['alert_id']}, {it['state']}, opened {it['opened_at']}",
            f"  decision {it['decision_id']} of {it['client_id']}",
            (
                f"  {_of_kind(it)}entry {it['entry']} of list {it['list_sha256'][:12]}: {why['name']}, {why['kind']}, "
                f"{' '.join(why['programmes'])}"
            ),
            f"  score {it['score']:.4f}, birth date {why['born']}"
            + (", to be cleared by two people" if it["needs_second"] else ""),
        ]
        if it["because"]:
            by = it["cleared_by"] or it["doubted_by"] or it["confirmed_by"] or it["examined_by"] or it["proposed_by"]
            told.append(f"  {by}{_found(it)}: {it['because']}" + (f", until {it['until']}" if it["until"] else ""))
        if it["report_due_on"]:
            told.append(f"  confirmed by {it['confirmed_by']}, to be reported by {it['report_due_on']}")
        if it["yearly_report_due_on"]:
            told.append(f"  what is blocked on 30 June, in the yearly report by {it['yearly_report_due_on']}")
        return told + [f"  {_reported(report)}, says {report['by']}{_why(report)}" for report in it["reports"]]


@dataclass(frozen=True, slots=True)
class Done:
    """What was recorded of an alert."""

    said: Mapping[str, Any]
    line: str

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return dict(self.said)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [self.line]


def queue() -> Queue:
    """Give the alerts that nobody has cleared."""
    return with_reader(_queue, "alert.read")


def show_alert(alert_id: str) -> Shown:
    """Give one alert."""
    wanted = _id(alert_id)

    async def found(store: Store) -> Shown:
        from obligor.serving.screening.desk import plain

        return Shown(plain(await _desk(store).found(wanted), store.sources.now(), why=True))

    return with_reader(found, "alert.read")


def clear_alert(alert_id: str, *, because: str, days: int, finding: str | None) -> Done:
    """Clear an alert, or propose to, as who works here (``OBLIGOR_AUTHOR``)."""
    from obligor.serving.screening.alert_steps import Clearance

    return _record(
        alert_id, Clearance(because, days, cast("Finding | None", finding)), _cleared, permission="alert.clear"
    )


def confirm_alert(alert_id: str, *, because: str) -> Done:
    """Confirm an alert, as who works here (``OBLIGOR_AUTHOR``)."""
    from obligor.serving.screening.alert_steps import Confirmation

    return _record(alert_id, Confirmation(because), _confirmed, permission="alert.confirm")


def report_alert(alert_id: str, *, reference: str, on: date | None, because: str | None) -> Done:
    """Say that a confirmed match was reported, or amend that, as who works here (``OBLIGOR_AUTHOR``)."""
    from obligor.serving.screening.reports import Report

    return _record(alert_id, Report(reference, on, because), _reported, permission="alert.confirm")


def report_year(year: int, alerts: Sequence[str], *, reference: str, on: date | None, because: str | None) -> Done:
    """Say that the report of a year was filed, or amend that, as who works here (``OBLIGOR_AUTHOR``)."""
    from obligor.serving.screening.reports import YearlyReport

    named = tuple(map(_id, alerts)) or None
    said = YearlyReport(reference, on, because, year=year, alerts=named)
    return _record(None, said, _yearly_reported, permission="alert.confirm")


def _record(
    alert_id: str | None, said: Said[Any], line: Callable[[Mapping[str, Any]], str], *, permission: str
) -> Done:
    wanted = None if alert_id is None else _id(alert_id)

    async def recorded(store: Store) -> Done:
        done = await _desk(store).record(wanted, said, by=await acting(store, permission))
        told = msgspec.json.decode(done.response)
        return Done(told, line(told))

    return with_anchored_store(recorded)


def _cleared(said: Mapping[str, Any]) -> str:
    if said["state"] in ("proposed", "doubted"):
        return f"proposed; another person clears it: obligor alerts clear {said['alert_id']} --because ..."
    if said["state"] == "examined":
        how = "--finding due-diligence --because ..."
        return f"examined; another person approves: obligor alerts clear {said['alert_id']} {how}"
    return f"cleared until {said['until']}"


def _confirmed(said: Mapping[str, Any]) -> str:
    due = said["report_due_on"]
    return "confirmed" + (f"; to be reported to OFAC by {due}" if due else "")


def _reported(report: Mapping[str, Any]) -> str:
    amended, late = "amended: " if report["number"] > 1 else "", ", late" if report["late"] else ""
    return f"{amended}reported on {report['reported_on']}{late}, reference {report['reference']}"


def _yearly_reported(report: Mapping[str, Any]) -> str:
    matches = "1 match" if len(report["alerts"]) == 1 else f"{len(report['alerts']):,} matches"
    return f"yearly report of {report['year']}, {matches}: {_reported(report)}"


def _why(report: Mapping[str, Any]) -> str:
    return "" if report["because"] is None else f": {report['because']}"


def screen_again(*, progress: Steps) -> Queue:
    """Screen the decisions of the store against the lists in force, to the end; where it was stopped, it goes on.

    The list of one kind is screened against whatever became of the other; and of one that is switched off nothing is asked.

    Raises
    ------
    IntegrityError, ScreeningError, UnavailableError
        Where a list was not loaded or could not be made ready, or the compliance profile has screening switched off.
    """
    settings, asked = service_settings(), read_gate_settings(os.environ)

    async def screened(store: Store) -> Queue:
        from obligor.bootstrap.decisions import open_releases

        await acting(store, "screening.screen")
        releases = await open_releases(store)
        sealer = await open_sealer(store, settings)
        lacking: dict[ListKind, ObligorError] = {}
        errors: list[ObligorError] = []
        opened = open_screening(store, releases, sealer, asked, data=settings.data, failed=lacking.__setitem__)
        async with opened as screening:
            wanted = {kind: it for kind, it in screening.kinds.items() if it.again.wanted()}
            if not wanted:
                raise UnavailableError("the compliance profile in force has screening switched off")
            for kind, it in wanted.items():
                if it.lists.screener is None:
                    hint = "obligor lists load FILE"
                    errors.append(lacking.get(kind) or UnavailableError(f"no list of {kind} was loaded", hint=hint))
                else:
                    await _to_the_end(store, kind, it.again, progress)
            if errors:
                raise errors[0] if len(errors) == 1 else UnavailableError("; ".join(it.message for it in errors))
        return await _queue(store)

    return with_anchored_store(screened, settings)


async def _to_the_end(store: Store, kind: ListKind, again: Rescreening, progress: Steps) -> None:
    from obligor.serving.screening.rescreening import AT_ONCE

    reached = await _reach(store, kind)
    with progress.step("screening decisions", total=reached.left if reached else 0) as advance:
        while reached is not None and reached.left:
            if await again.step():
                advance(AT_ONCE)
                continue
            await asyncio.sleep(_PAUSE_S)  # a service may be at it as well
            reached = await _reach(store, kind)


async def _reach(store: Store, kind: ListKind) -> Reach | None:
    newest = await store.screening.newest_list(kind)
    if newest is None:
        return None
    progress = await store.screening.progress(newest.list_sha256)
    return Reach(kind, progress, await store.screening.left(progress))


async def _queue(store: Store) -> Queue:
    from obligor.serving.gates.aml import GATE_OF

    reached, desk = [await _reach(store, kind) for kind in GATE_OF], _desk(store)
    return Queue(await desk.waiting(), [it for it in reached if it is not None], await desk.yearly_reports())


def _found(alert: Mapping[str, Any]) -> str:
    """Tell what clearing a politically exposed person rests on, and whom it rests on."""
    if alert["finding"] != "due_diligence":
        return ", somebody else" if alert["finding"] else ""
    return f", after due diligence by {alert['examined_by']}" if alert["cleared_by"] else ", due diligence"


def _of_kind(alert: Mapping[str, Any]) -> str:
    return "politically exposed: " if alert["list_kind"] == "pep" else ""


def _report(alert: Mapping[str, Any]) -> str:
    told = f", report due on {alert['report_due_on']}" if alert["report_due_on"] else ""
    if alert["reported_on"]:
        told = f", reported on {alert['reported_on']}" + (", late" if alert["reported_late"] else "")
    return told + (f", yearly report by {alert['yearly_report_due_on']}" if alert["yearly_report_due_on"] else "")


def _desk(store: Store) -> AlertDesk:
    from obligor.serving.screening.desk import AlertDesk

    return AlertDesk(store.screening, store.archive, store.recorder, store.sources)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInputError("ALERT: wanted the id of an alert", hint="obligor alerts list") from None
