"""Builds the gates of the decision service from its settings, and what screens again as lists change."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obligor.core.errors import ObligorError, SealError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from obligor.bootstrap.store import Store
    from obligor.core.application import Application
    from obligor.core.profile import GateName
    from obligor.screening.lists import ListKind
    from obligor.screening.screener import Screener
    from obligor.serving.archive import StoredDecision
    from obligor.serving.gates.aml import AmlColumns, AmlGate, Clearances
    from obligor.serving.gates.gate import Gate
    from obligor.serving.gates.kyc import Kyc, KycGate
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.releases.release import Releases
    from obligor.serving.screening.desk import AlertDesk
    from obligor.serving.screening.lists import ListInForce
    from obligor.serving.screening.rescreening import Rescreening
    from obligor.settings import GateSettings


@asynccontextmanager
async def open_gates(settings: GateSettings, store: Store) -> AsyncIterator[Mapping[GateName, Gate]]:
    """Give the gates that somebody answers for, beside those that the service has of its own.

    Raises
    ------
    InvalidInputError
        Where a setting says nonsense, or a column for an element is not named.
    """
    from obligor.serving.gates.kyc import OF_APPLICANT

    subject = settings.kyc_subject or OF_APPLICANT
    if settings.kyc is None:
        yield {}
    elif "://" not in settings.kyc:
        from obligor.adapters.kyc.file import FileKyc

        yield {"kyc": await _gate(FileKyc(Path(settings.kyc)), subject, store)}
    else:
        from obligor.adapters.kyc.http import HttpKyc

        provider = HttpKyc(settings.kyc, token=settings.kyc_token, patience_s=settings.provider_s)
        try:
            yield {"kyc": await _gate(provider, subject, store)}
        finally:
            await provider.close()


async def _gate(provider: Kyc, subject: Mapping[str, str], store: Store) -> KycGate:
    from obligor.serving.gates.kyc import KycGate

    key, begun = store.key.derived("kyc evidence"), await store.log.latest()
    return KycGate(provider, subject, store.evidences, key, latest=lambda: store.recorder.latest or begun)


@dataclass(frozen=True, slots=True)
class ScreeningOfKind:
    """What screens against one kind of list: the gate, the list in force, and what looks at decisions again."""

    gate: AmlGate
    lists: ListInForce
    again: Rescreening


@dataclass(frozen=True, slots=True)
class Screening:
    """What screens, by the kind of list, what was cleared or confirmed, and the desk where people look at alerts."""

    kinds: Mapping[ListKind, ScreeningOfKind]
    clearances: Clearances
    desk: AlertDesk
    store: Store
    failed: Callable[[ListKind, ObligorError], None]
    """Is told why the list of a kind is not ready."""

    @property
    def gates(self) -> Mapping[GateName, AmlGate]:
        """The gates that screen."""
        return {it.gate.name: it.gate for it in self.kinds.values()}

    def list_left_seconds(self) -> float:
        """Tell for how many seconds applicants can still be screened against the list that serves the shortest.

        Infinite where nobody is screened.
        """
        now, wanted = self.store.sources.now(), (it.lists for it in self.kinds.values() if it.again.wanted())
        return min((it.left(now).total_seconds() for it in wanted), default=inf)

    async def look_at_lists(self) -> None:
        """Take up the lists that were loaded last, each whatever the others do."""
        await asyncio.gather(*(self._look(kind, it.lists) for kind, it in self.kinds.items()))

    async def _look(self, kind: ListKind, lists: ListInForce) -> None:
        try:
            await lists.look()
        except ObligorError as error:
            self.failed(kind, error)

    async def look_at_clearances(self) -> None:
        """Take up what was confirmed, and what was cleared."""
        self.clearances.confirmed = await self.store.screening.confirmed()
        self.clearances.until = await self.store.screening.cleared(at=self.store.sources.now())


@asynccontextmanager
async def open_screening(
    store: Store,
    releases: Releases,
    sealer: Sealer,
    settings: GateSettings,
    *,
    data: Path,
    failed: Callable[[ListKind, ObligorError], None],
) -> AsyncIterator[Screening]:
    """Build what screens, with the lists in force made ready; without one its gate is pending, and never passed.

    Parameters
    ----------
    data
        Where files may lie for a moment.
    failed
        Is told why the list of a kind is not ready.

    Raises
    ------
    UnavailableError
        Where it cannot be found out whose match was confirmed.
    """
    screening = _screening(store, releases, sealer, settings, data=data, failed=failed)
    await screening.look_at_clearances()
    await screening.look_at_lists()
    try:
        yield screening
    finally:
        for gate in screening.gates.values():
            gate.close()


def _screening(
    store: Store,
    releases: Releases,
    sealer: Sealer,
    settings: GateSettings,
    *,
    data: Path,
    failed: Callable[[ListKind, ObligorError], None],
) -> Screening:
    from obligor.serving.gates.aml import GATE_OF, AmlGate, Clearances, Subjects
    from obligor.serving.screening.desk import AlertDesk
    from obligor.serving.screening.lists import ListInForce
    from obligor.serving.screening.rescreening import Rescreening

    columns, clearances = _columns(settings), Clearances()
    prepare = partial(_screener, store, within=data, max_age=timedelta(days=settings.aml_max_age_days))

    def of_kind(kind: ListKind, name: GateName) -> ScreeningOfKind:
        lists, subjects = ListInForce(store.screening, prepare, kind), Subjects.of(store.key, kind)
        gate = AmlGate(
            *(lists, name),
            subjects=subjects,
            clearances=clearances,
            columns=columns,
            application_id=_named_by(releases),
        )
        again = Rescreening(
            *(lists, store.screening, store.recorder, store.sources, gate, subjects, columns),
            open_records=partial(opened_records, sealer),
            wanted=lambda: releases.newest > 0 and name in releases.current.profile.asked,
        )
        return ScreeningOfKind(gate, lists, again)

    desk = AlertDesk(store.screening, store.archive, store.recorder, store.sources)
    return Screening({kind: of_kind(kind, name) for kind, name in GATE_OF.items()}, clearances, desk, store, failed)


async def _screener(store: Store, sha256: str, *, within: Path, max_age: timedelta) -> Screener:
    from obligor.screening.matching import Matcher
    from obligor.screening.preparing import prepare
    from obligor.screening.rules import Rules
    from obligor.screening.screener import Screener

    prepared = await prepare(store.screening.pieces(sha256), sha256=sha256, within=within)
    return Screener(Matcher(prepared, Rules()), max_age)


def _columns(settings: GateSettings) -> AmlColumns:
    from obligor.serving.gates.aml import AmlColumns

    said = settings.aml_subject
    names = {"names": tuple(said["name"].split("+"))} if "name" in said else {}
    others = {"aliases": said.get("aliases"), "born": said.get("date_of_birth"), "number": said.get("number")}
    return AmlColumns(**names, **{name: it for name, it in others.items() if it is not None})  # type: ignore[arg-type]  # texts


def _named_by(releases: Releases) -> Callable[[Application], str | None]:
    return releases.current.application_id


async def opened_records(sealer: Sealer, stored: Sequence[StoredDecision]) -> list[Mapping[str, Any] | None]:
    """Open records; of one that was erased, or does not open, there is nothing."""
    try:
        return [None if it.erased else it.record for it in await sealer.open(stored)]
    except SealError:  # the doctor tells of it
        if len(stored) == 1:
            return [None]
        return [record for it in stored for record in await opened_records(sealer, [it])]
