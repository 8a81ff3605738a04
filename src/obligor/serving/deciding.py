"""The use case of the decision service, one for all its doors.

An application is read, scored, decided and worded by the release in force, in memory and without waiting; what came of it is
handed to the recorder, and answered once it is durable. What a caller may not do is refused here, so that no door forgets it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from obligor.core.errors import (
    ApplicationError,
    KeyReusedError,
    LimitedError,
    ObligorError,
    TooLargeError,
    UnavailableError,
)
from obligor.core.leaves import time_text
from obligor.security.permissions import allow
from obligor.serving.acts import Recorded, Submission
from obligor.serving.answers import answered, with_receipt
from obligor.serving.applications import fingerprint_of_many, read_by, read_many
from obligor.serving.card_data import CardData
from obligor.serving.earlier import EarlierAnswers
from obligor.serving.encoding import encode_in_order
from obligor.serving.errors import problem_of
from obligor.serving.gates.gate import DEADLINE_S, NO_GATES, NOT_JUDGED, Gating
from obligor.serving.idempotency import check_key, request_of
from obligor.serving.making import Made, Maker
from obligor.serving.pace import Pace
from obligor.serving.privacy.sealed import named, named_in_bulk
from obligor.serving.probing import Probing
from obligor.serving.webhooks.events import Listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from obligor.core.application import Application
    from obligor.core.profile import GateName
    from obligor.serving.acts import Caller, PromptRecorder
    from obligor.serving.gates.gate import Gate, Judged
    from obligor.serving.once import Answers
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.releases.release import Assessment, Release, Releases
    from obligor.serving.sources import Sources
    from obligor.serving.telemetry.meter import Meter

MOST_AT_ONCE = 1000
DECISIONS, BULK = "decisions", "decisions/bulk"


class Recording(msgspec.Struct, frozen=True):
    """A decision that is made, and becomes durable."""

    recorded: asyncio.Future[Recorded]
    done: Callable[[Recorded], Recorded]
    """To be called once it is durable, with what came of it, which is given back."""


class DecisionService:
    """Decides on applications."""

    def __init__(
        self,
        *,
        releases: Releases,
        recorder: PromptRecorder,
        sources: Sources,
        answers: Answers,
        meter: Meter,
        gates: Mapping[GateName, Gate] = NO_GATES,
        gate_deadline_s: float = DEADLINE_S,
        listeners: Listeners | None = None,
        sealer: Sealer | None = None,
        probing: Probing | None = None,
    ) -> None:
        """Without a ``sealer`` records hold personal fields in the clear, as they once did; ``obligor serve`` has one."""
        self._gating = Gating({"pci": CardData(meter), **gates}, deadline_s=gate_deadline_s)
        self._releases = releases
        self._recorder = recorder
        self._sources = sources
        self._meter = meter
        self.tries = Pace()
        """How often each client may simulate."""
        self.probing = probing or Probing()
        self.sealer = sealer
        self._maker = Maker(sources, listeners or Listeners(), sealer)
        self._earlier = EarlierAnswers(answers, releases, sealer)

    @property
    def release(self) -> Release:
        """The release in force.

        Raises
        ------
        UnavailableError
            Where there is none.
        """
        return self._releases.current

    async def decide(
        self, caller: Caller, *, key: str, application: bytes | Mapping[str, object], route: str = DECISIONS
    ) -> Recorded:
        """Decide on one application and record it; the answer is that of ``answer_of``.

        Raises
        ------
        ForbiddenError, ApplicationError, LimitedError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        try:
            made, times = await self._make(caller, key, application, route)
        except (ApplicationError, LimitedError, UnavailableError):
            earlier = await self._earlier.one(caller, route=route, key=key, application=application)
            if earlier is None:
                raise
            return earlier
        submission = self._maker.submission(caller, made, route=route)
        return self._done(made, times, await self._recorder.record(submission))

    async def _make(
        self, caller: Caller, key: str, application: bytes | Mapping[str, object], route: str
    ) -> tuple[Made, _Times]:
        started = perf_counter()
        release, at, read = self._begin(caller, key, application)
        was_read = perf_counter()
        asked = self.probing.asked(caller.client_id, release, read)
        self.probing.check(asked)
        judged = NOT_JUDGED
        if release.asks:
            judged = await self._gating.judge(read, release.profile_of(read.fields), at=at)
        made = self._maker.make(caller, release, asked, at=at, key=key, route=route, judged=judged)
        return made, _Times(started, was_read, perf_counter())

    def decide_at_once(
        self, caller: Caller, *, key: str, application: bytes | Mapping[str, object]
    ) -> Recording | None:
        """Decide as ``decide`` does, with nothing to wait for but the recorder; none where a gate must be waited for.

        None as well where a limit is reached: the long way refuses then, and tells.

        Raises
        ------
        ForbiddenError, ApplicationError, InFlightError, UnavailableError
            As they say. Nothing was done then, nor counted.
        """
        started = perf_counter()
        release, at, read = self._begin(caller, key, application)
        was_read = perf_counter()
        asked = self.probing.asked(caller.client_id, release, read)
        if self.probing.holds_up(asked):
            return None  # the long way refuses it, or looks closely
        judged: Judged | None = NOT_JUDGED
        if release.asks:
            judged = self._gating.at_once(read, release.profile_of(read.fields), at=at)
        if judged is None:
            return None
        made = self._maker.make(caller, release, asked, at=at, key=key, route=DECISIONS, judged=judged)
        times = _Times(started, was_read, perf_counter())
        submission = self._maker.submission(caller, made, route=DECISIONS)
        return Recording(self._recorder.submit(submission), partial(self._done, made, times))

    def give_up(self, recording: Recording) -> None:
        """Let go of a decision that nobody waits for; it stands where its recording has begun."""
        self._recorder.drop(recording.recorded)

    def expect(self, come: Callable[[], None]) -> None:
        """Call ``come``, which is to decide at once, soon: together with others, before the next commit is begun."""
        self._recorder.expect(come)

    async def decide_many(
        self, caller: Caller, *, key: str, applications: Sequence[bytes | Mapping[str, object] | ApplicationError]
    ) -> Recorded:
        """Decide on several applications, which are recorded together: for each a decision, or the problem that it has.

        What a door could not read comes as the problem with it.

        Raises
        ------
        TooLargeError
            Where there are more than a thousand.
        ForbiddenError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        allow(caller, "decision.decide")
        check_key(key)
        if len(applications) > MOST_AT_ONCE:
            raise TooLargeError(f"applications: got {len(applications)}, wanted at most {MOST_AT_ONCE}")
        earlier = partial(self._earlier.many, caller, route=BULK, key=key, applications=applications)
        try:
            results, payload = await self._make_many(caller, key, applications)
        except UnavailableError:
            if (found := await earlier()) is None:
                raise
            return found
        decided = [it for it in results if isinstance(it, Made)]
        respond = partial(_results_bytes, results)
        if not decided:
            return await earlier() or Recorded(respond(0), 200, replayed=False, leaf_index=-1)
        request = request_of(self.sealer, caller, BULK, key, payload)
        is_new = False
        try:
            recorded = await self._recorder.record(Submission(tuple(it.act for it in decided), respond, request))
            is_new = not recorded.replayed
        except KeyReusedError:
            if (found := await earlier()) is None:
                raise
            return found
        finally:
            for it in decided:
                if is_new:
                    self._count(it.assessment)
                    self._maker.know_kept(it)
                else:
                    self.probing.unmade(it.asked)
        return _answering(recorded, named_in_bulk(recorded.response, [it.application_id for it in decided]))

    async def _make_many(
        self, caller: Caller, key: str, applications: Sequence[bytes | Mapping[str, object] | ApplicationError]
    ) -> tuple[list[Made | bytes], bytes]:
        """Make each decision, or tell why there is none; and tell these applications from others."""
        release = self._releases.current
        at = self._sources.now()
        reads = await read_many(release, applications, self._meter)
        every = await self._gating.judge_many(reads, release.profile, at=at, scoping=release.scoping)
        results: list[Made | bytes] = []
        for read, judged in zip(reads, every, strict=True):
            await asyncio.sleep(0)  # others wait for the loop
            if isinstance(read, ObligorError):
                results.append(_problem_bytes(read))
                continue
            if isinstance(judged, ObligorError):
                results.append(_problem_bytes(judged))
                continue
            asked = self.probing.asked(caller.client_id, release, read)
            try:
                self.probing.check(asked)
            except LimitedError as error:
                results.append(_problem_bytes(error))
                continue
            one = self._maker.make(caller, release, asked, at=at, key=key, route=BULK, judged=judged)
            self.probing.made(asked)  # at once, or a thousand on one person would be let in together
            self._meter.stage("score", one.score_s)
            results.append(one)
        return results, await fingerprint_of_many(applications, reads)

    def simulate(self, caller: Caller, application: bytes | Mapping[str, object]) -> dict[str, Any]:
        """Tell what would be decided; nothing is recorded, and the answer says so.

        Raises
        ------
        ForbiddenError, ApplicationError, LimitedError, UnavailableError
            As they say.
        """
        allow(caller, "decision.simulate")
        self.tries.take(caller.client_id, told="too many simulations of this client")
        release = self._releases.current
        at = self._sources.now()
        asked = self.probing.asked(caller.client_id, release, read_by(release, application))
        self.probing.check(asked)
        told = answered(release.assess(asked.application, at=at).to_plain())  # no gate is asked of a try
        self.probing.made(asked)
        return {"simulated": True, "decided_at": time_text(at)} | told | {"pins": release.pins}

    def _begin(
        self, caller: Caller, key: str, application: bytes | Mapping[str, object]
    ) -> tuple[Release, datetime, Application]:
        """Let a caller in, and read what they ask a decision on, by the release in force."""
        allow(caller, "decision.decide")
        check_key(key)
        release = self._releases.current
        return release, self._sources.now(), read_by(release, application)

    def _done(self, made: Made, times: _Times, recorded: Recorded) -> Recorded:
        """Count a decision that is durable, and give what is answered of it."""
        done, meter = perf_counter(), self._meter
        meter.stage("read", times.read - times.started)
        meter.stage("score", made.score_s)
        meter.stage("record", done - times.decided)
        meter.stage("whole", done - times.started)
        if not recorded.replayed:
            self._count(made.assessment)
            self._maker.know_kept(made)
            self.probing.made(made.asked)
        return _answering(recorded, named(recorded.response, made.application_id))

    def _count(self, assessment: Assessment) -> None:
        self._meter.decided(assessment.score, assessment.decision, assessment.unusual)


class _Times(msgspec.Struct, frozen=True):
    """When a decision was asked for, when it was read, and when it was decided; of a clock of its own."""

    started: float
    read: float
    decided: float


def _problem_bytes(error: ObligorError) -> bytes:
    return encode_in_order(problem_of(error))


def _results_bytes(results: Sequence[Made | bytes], leaf_index: int) -> bytes:
    parts, at = [], leaf_index
    for it in results:
        if isinstance(it, Made):
            parts.append(b'{"decision":%b}' % with_receipt(it.answer, at))
            at += 1
        else:
            parts.append(b'{"problem":%b}' % it)
    return b'{"results":[%b]}' % b",".join(parts)


def _answering(recorded: Recorded, response: bytes) -> Recorded:
    """Give what was recorded with the answer as it is told."""
    if response is recorded.response:
        return recorded
    return Recorded(response, recorded.status, recorded.replayed, recorded.leaf_index)
