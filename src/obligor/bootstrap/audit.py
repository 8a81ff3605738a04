"""Verifies the audit log, and exports it, from the command line."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from obligor.bootstrap.acting import acknowledging, acting, caller_acting
from obligor.bootstrap.anchors import anchored, opened
from obligor.bootstrap.store import database, existing_database, open_store, service_settings, with_store
from obligor.core.canonical import canonical_json, readable_json
from obligor.core.checkpoints import parse_verifier_key
from obligor.core.errors import InvalidInputError, NotFoundError
from obligor.core.leaves import time_text
from obligor.governance.audit.anchored import read_anchors
from obligor.governance.audit.bundle import Period, leaves_of, write_bundle
from obligor.governance.audit.findings import Findings
from obligor.governance.audit.restores import PROPOSED
from obligor.governance.audit.verifying import verify_log
from obligor.security.permissions import allow
from obligor.security.signing import Verifier, open_signing_key, read_signing_key
from obligor.serving.acts import Act, Submission
from obligor.serving.audit.acts import MOST_ACTS, Span, read_acts
from obligor.serving.audit.log import AuditLog
from obligor.serving.card_data import refuse_card_data_in
from obligor.settings import read_author

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from obligor.bootstrap.store import Store
    from obligor.governance.audit.bundle import BundleSummary
    from obligor.governance.audit.findings import Verdict
    from obligor.governance.audit.restores import Restore
    from obligor.progress import Progress
    from obligor.settings import Settings

_EXPORT = "obligor/export/1"


@dataclass(frozen=True, slots=True)
class ReceiptText:
    """A receipt, to print."""

    plain: dict[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.plain

    def encode(self) -> bytes:
        """Write it as a file."""
        return readable_json(self.plain)


@dataclass(frozen=True, slots=True)
class Noted:
    """A proposal to go on with a log that was set back, or its confirmation."""

    restore: Restore

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        it = self.restore
        return {
            "restore_id": it.restore_id,
            "kind": it.kind,
            "leaf_index": it.index,
            "size": it.present.size,
            "lost": [{"anchor": one.anchor, "size": one.tree.size, "root": one.tree.root.hex()} for one in it.lost],
            "proposed_by": it.proposed_by,
            "by": it.by,
        }

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        it = self.restore
        told = [
            f"{one.anchor} keeps a log of {one.tree.size:,} leaves; this one has {it.present.size:,}" for one in it.lost
        ]
        if it.kind == PROPOSED:
            return [*told, f"proposed; another person confirms it: obligor audit acknowledge {it.restore_id}"]
        return [*told, f"acknowledged by {it.proposed_by} and {it.by}, at leaf {it.index:,}; the service goes on"]


@dataclass(frozen=True, slots=True)
class Acts:
    """Acts of the log, the newest first."""

    acts: tuple[dict[str, Any], ...]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {"acts": [*self.acts]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        told = [
            f"{it['at']}  {it['leaf_index']:>9}  {it['kind']:<18}  {it['about']}  by {it['by']}" for it in self.acts
        ]
        return told or ["There is no act that you may read."]


def list_acts(*, since: datetime | None, until: datetime | None) -> Acts:
    """Give the newest acts of a time that who acts may read."""

    async def listed(store: Store) -> Acts:
        caller = await caller_acting(store, "act.read")
        found: list[dict[str, Any]] = []
        span: Span | None = Span(since, until)
        while span is not None and len(found) < MOST_ACTS:
            page = await read_acts(store.log, caller, span)
            found += page.acts
            span = None if page.next is None else span._replace(before=page.next)
        return Acts(tuple(found[:MOST_ACTS]))

    return with_store(listed)


def acknowledge_restore(restore_id: str | None, *, because: str) -> Noted:
    """Propose to go on with a log that was set back, or confirm a proposal of another person."""
    settings = service_settings()

    async def noted(store: Store) -> Noted:
        from obligor.serving.audit.restoring import Restoring

        by = await acknowledging(store)
        async with opened(store, settings) as anchoring:
            await anchoring.look()
            restoring = Restoring(store.log, store.recorder, store.sources)
            if restore_id is None:
                return Noted(await restoring.propose(anchoring.lost, because=because, by=by))
            return Noted(await restoring.acknowledge(restore_id, anchoring.lost, by=by))

    return with_store(noted, settings)


def verify_audit(*, anchors: Sequence[Path], key: str | None, known: Sequence[int] = (), progress: Progress) -> Verdict:
    """Verify the whole log, against checkpoints of anchors where some are given; nothing is written.

    Parameters
    ----------
    key
        The public key of the log, where the verifier knows it; by default that of the deployment's own key.
    known
        The leaves of acknowledged losses that the verifier knows of.
    """
    from obligor.adapters.store.log_source import open_log

    settings = service_settings()
    findings = Findings()
    given = read_anchors(anchors, findings)
    public = parse_verifier_key(key) if key is not None else read_signing_key(settings.audit_key).verifier
    with existing_database(settings) as url, open_log(url) as source:
        return verify_log(
            source,
            signatures=Verifier(public),
            anchors=given,
            findings=findings,
            known=frozenset(known),
            progress=progress,
        )


def export_audit(
    bundle: Path, *, since: datetime, until: datetime, purpose: str, anchors: Sequence[Path], progress: Progress
) -> BundleSummary:
    """Write the bundle of a period, after the export itself was recorded."""
    from obligor.adapters.store.log_source import open_log

    settings, period = service_settings(), Period(since, until)
    refuse_card_data_in("purpose", purpose)
    if not read_author(os.environ):
        raise InvalidInputError("an export is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")
    findings = Findings()
    given = read_anchors(anchors, findings)
    if findings.all():
        raise InvalidInputError(f"--anchors: {findings.all()[0]}")
    with database(settings) as url:
        with open_log(url) as source:
            acts = len(leaves_of(source, period))
        index = asyncio.run(_record_export(url, settings, period, purpose=purpose, acts=acts))
        with open_log(url) as source:
            return write_bundle(
                bundle.absolute(),
                source=source,
                period=period,
                export_index=index,
                signer=open_signing_key(settings.audit_key),
                anchors=given,
                progress=progress,
            )


def decision_receipt(decision_id: UUID, *, private: bool) -> ReceiptText:
    """Give the receipt of a decision, with its record and salt where those are wanted."""

    async def given(store: Store) -> dict[str, Any]:
        caller = await caller_acting(store, "decision.read")
        own = allow(caller, "decision.read").own
        stored = await store.archive.decision(decision_id, client_id=caller.client_id if own else None)
        if stored is None:
            raise NotFoundError("there is no such decision")
        return await AuditLog(store.log, store.key, store.sources).receipt(stored)

    told = with_store(given)
    kept = told if private else {name: value for name, value in told.items() if name not in ("record", "salt")}
    return ReceiptText(kept)


async def _record_export(url: str, settings: Settings, period: Period, *, purpose: str, acts: int) -> int:
    async with open_store(url, settings) as store, anchored(store, settings):
        by = await acting(store, "log.export")
        act = _export_act(store, period, by=by, purpose=purpose, acts=acts)
        recorded = await store.recorder.record(Submission((act,), lambda _: b""))
        return recorded.leaf_index


def _export_act(store: Store, period: Period, *, by: str, purpose: str, acts: int) -> Act:
    at = store.sources.now()
    export_id = str(store.sources.new_id(at))
    said = {
        "schema": _EXPORT,
        "export_id": export_id,
        "from": time_text(period.since),
        "to": time_text(period.until),
        "acts": acts,
        "by": by,
        "purpose": purpose,
        "at": time_text(at),
    }
    return Act("export", at, f"person:{by}", export_id, canonical_json(said), store.sources.salt())
