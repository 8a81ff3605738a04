"""Before a loan is paid out: who was approved is screened again, on the list of that moment, by what was kept of them.

The answer says that nothing stands against it, or that a person must look, and no word of why: whoever pays out may not
learn of a hit. It is the same for a hit, a list that is too old, and a screener that is down. What was said stands in the
record of the act.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from obligor.core.errors import ClashError
from obligor.core.leaves import time_text
from obligor.core.profile import SCREENING, in_force
from obligor.serving.acts import Act, Submission
from obligor.serving.answers import with_receipt
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.gates.gate import DEADLINE_S, GateResult
from obligor.serving.idempotency import request_saying
from obligor.serving.once import once

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from obligor.core.profile import GateName
    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.archive import StoredDecision
    from obligor.serving.once import Answers
    from obligor.serving.register import Register
    from obligor.serving.releases.release import Releases
    from obligor.serving.sources import Sources

SCHEMA: Final = "obligor/screening/1"
SCREENINGS: Final = "screenings"


class Screens(Protocol):
    """What screens who applied: the gate `aml`, or `pep`."""

    async def screen(self, fields: Mapping[str, Any], *, application_id: str | None, at: datetime) -> GateResult:
        """Judge who applied by the fields of their application."""
        ...


@dataclass(frozen=True, slots=True)
class Disbursing:
    """Screens again before loans are paid out."""

    register: Register
    releases: Releases
    gates: Mapping[GateName, Screens]
    """Those that screen, by their names."""
    answers: Answers
    recorder: Recorder
    sources: Sources
    deadline_s: float = DEADLINE_S

    async def screen(self, caller: Caller, *, key: str, decision_id: UUID) -> Recorded:
        """Screen the applicant of an approved decision now, and record what was said; once for an idempotency key.

        Raises
        ------
        ClashError
            Where it is no approval, or the profile in force has screening off.
        ForbiddenError, NotFoundError, ErasedError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        stored = await self.register.found(caller, decision_id, needed="decision.screen")
        sealer = self.register.sealer
        request = request_saying(caller, route=SCREENINGS, key=key, said=str(decision_id), sealer=sealer)
        return await once(self.answers, self.recorder, request, partial(self._record, stored, by=caller.by))

    async def _record(self, stored: StoredDecision, recorder: Recorder, *, by: str) -> Recorded:
        at = self.sources.now()
        release = self.releases.current
        (opened,) = await self.register.opener.open(stored)
        record = opened.whole()
        profile = in_force(release.profile_of(record["input"]), at)
        states = {name: profile.gate(name).state for name in SCREENING if name in profile.asked}
        word = await self.register.last_word(stored.decision_id)
        if (record["outcome"] if word is None else word.outcome) != "approve":
            raise ClashError("this decision is no approval; wanted one by which a loan is paid out")
        if word is not None and word.expired(at):
            raise ClashError(f"the override that approved this expired at {word.expires_at:%Y-%m-%dT%H:%M:%SZ}")
        if word is not None and word.new_decision_id is not None:
            raise ClashError(
                f"this was decided again; wanted decision {word.new_decision_id}, by which a loan is paid out"
            )
        if not states:
            raise ClashError("nobody is screened here: the compliance profile in force has that off")
        said = dict(
            zip(states, await asyncio.gather(*(self._said(it, stored, record, at) for it in states)), strict=True)
        )
        passed = all(it.result == "pass" or states[name] == "monitor" for name, it in said.items())
        screening = {
            "screening_id": str(self.sources.new_id(at)),
            "decision_id": str(stored.decision_id),
            "result": "pass" if passed else "review",
            "screened_at": time_text(at),
        }
        kept = {
            "schema": SCHEMA,
            "client_id": stored.client_id,
            "by": by,
            "profile_sha256": release.profile.sha256,
            **screening,
        }
        gates = {
            name: {"state": states[name], "result": it.result, "evidence": it.evidence} for name, it in said.items()
        }
        body = encode(kept | {"gates": gates})
        act = Act("screened", at, by, screening["screening_id"], body, self.sources.salt())
        respond = partial(with_receipt, encode_in_order(screening))
        return await recorder.record(Submission((act,), respond, status=201))

    async def _said(
        self, gate: GateName, stored: StoredDecision, record: Mapping[str, Any], at: datetime
    ) -> GateResult:
        """Ask a gate, which is pending where it does not answer: named as when lists change, so that a clearance holds."""
        name = record["application_id"] or str(stored.decision_id)
        try:
            async with asyncio.timeout(self.deadline_s):
                return await self.gates[gate].screen(record["input"], application_id=name, at=at)
        except Exception:  # noqa: BLE001  whatever it is, the gate has not said that the applicant passes
            return GateResult("pending", {"trouble": "failed"})
