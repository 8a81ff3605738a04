"""Checks outside the score: asked of an applicant before a decision, all at once, and within a deadline.

A gate that the compliance profile has off is not asked. One that fails to answer, or answers late or nonsense, has said
`pending`: where it is enforced the application is held, and never approved. What a gate gives as evidence stands in the record
of the decision beside its result, for a decision that is made again uses what was said then, and asks nobody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from obligor.core.errors import ApplicationError, ObligorError
from obligor.core.profile import GATES, RESULTS, in_force
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from obligor.core.application import Application
    from obligor.core.profile import GateName, Profile
    from obligor.core.profile import GateResult as Result

DEADLINE_S: Final = 0.3
_MOST_AT_ONCE: Final = 32
_MOST_EVIDENCE: Final = 1 << 14


class GateResult(NamedTuple):
    """What a gate says of one applicant."""

    result: Result
    evidence: Mapping[str, object] = {}
    """What it rests on, as plain data, for the record: ids and hashes, never what a person said, nor details of a hit."""


class Gate(Protocol):
    """One check outside the score."""

    @property
    def name(self) -> GateName:
        """Which gate of the profile it is."""
        ...

    async def evaluate(self, application: Application, *, at: datetime) -> GateResult:
        """Judge an applicant at the instant of the decision.

        Raises
        ------
        ApplicationError
            Where the application itself is at fault, as with evidence that is another person's: an enforced gate refuses it.
        """
        ...


class Judged(NamedTuple):
    """What the gates said of one application."""

    results: Mapping[str, str]
    """By the name of the gate."""
    evidence: Mapping[str, Any]
    """As JSON, of each gate that was asked."""


NOT_JUDGED: Final = Judged({}, {})
NO_GATES: Final[Mapping[GateName, Gate]] = {}


def asked_by(profile: Profile) -> tuple[GateName, ...]:
    """Name the gates that a profile does not have off."""
    return tuple(name for name in GATES if profile.gate(name).state != "off")


class Gating:
    """Asks the gates of a service."""

    def __init__(self, gates: Mapping[GateName, Gate], *, deadline_s: float = DEADLINE_S) -> None:
        self._gates, self._deadline_s = gates, deadline_s

    async def judge(self, application: Application, profile: Profile, *, at: datetime) -> Judged:
        """Ask every gate that a profile does not have off; one that the service has not says nothing.

        Raises
        ------
        ApplicationError
            Where an enforced gate finds the application itself at fault.
        UnavailableError
            Where the profile is not in force: then nobody is asked.
        """
        in_force(profile, at)
        gates = [self._gates[name] for name in asked_by(profile) if name in self._gates]
        if not gates:
            return NOT_JUDGED
        tasks = [asyncio.ensure_future(gate.evaluate(application, at=at)) for gate in gates]
        try:
            await asyncio.wait(tasks, timeout=self._deadline_s)
        finally:
            for late in tasks:
                late.cancel()  # one that is done takes no notice, and nobody waits for one that takes none either
        said = {gate.name: _said(task, profile, gate.name) for gate, task in zip(gates, tasks, strict=True)}
        return Judged(
            {name: result for name, (result, _) in said.items()},
            {name: msgspec.Raw(evidence) for name, (_, evidence) in said.items()},
        )

    async def judge_many(
        self, applications: Sequence[Application | ObligorError], profile: Profile, *, at: datetime
    ) -> list[Judged | ObligorError]:
        """Ask the gates of several applications, so many at a time; what is an error already stays one."""
        if not asked_by(profile):
            return [it if isinstance(it, ObligorError) else NOT_JUDGED for it in applications]
        seats = asyncio.Semaphore(_MOST_AT_ONCE)

        async def one(application: Application | ObligorError) -> Judged | ObligorError:
            if isinstance(application, ObligorError):
                return application
            async with seats:
                try:
                    return await self.judge(application, profile, at=at)
                except ApplicationError as error:
                    return error

        return await asyncio.gather(*map(one, applications))


def told_outside(because: str, outcome: str) -> str:
    """Word why an application was held or referred, for whoever may learn it: of a gate that leaves it to a person, no more.

    Which gate held an application is not told, whichever it was: if the others were named, silence would name the one of
    which nothing may be told (31 U.S.C. 5318(g)(2); Directive (EU) 2015/849, Art. 39).
    """
    return REVIEW if outcome != "decline" and because.startswith("gate:") else because


REVIEW: Final = "gate:review"


def hides_from_receipts(gates: Mapping[str, Mapping[str, object]]) -> bool:
    """Tell from the gates of a record whether it may say what is not told outside.

    It does not depend on what the gate said: a record that is kept back only after a hit would tell of the hit.
    """
    return gates.get("aml", {}).get("state", "off") != "off"


def _said(task: asyncio.Future[GateResult], profile: Profile, name: GateName) -> tuple[Result, bytes]:
    if not task.done() or task.cancelled():
        return "pending", _trouble("late")
    error = task.exception()
    if isinstance(error, ApplicationError) and profile.gate(name).state == "enforce":
        raise error
    if error is not None:
        return "pending", _trouble("refused" if isinstance(error, ApplicationError) else "failed")
    try:
        result, evidence = task.result()
        if result not in RESULTS:
            return "pending", _trouble("nonsense")
        as_json = encode(evidence)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return "pending", _trouble("nonsense")
    return (result, as_json) if len(as_json) <= _MOST_EVIDENCE else ("pending", _trouble("nonsense"))


def _trouble(what: str) -> bytes:
    return b'{"trouble":"%b"}' % what.encode()
