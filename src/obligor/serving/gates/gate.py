"""Checks outside the score: asked of an applicant before a decision, all at once, and within a deadline.

A gate that the compliance profile has off is not asked. One that fails to answer, or answers late or nonsense, has said
`pending`: where it is enforced the application is held, and never approved. What a gate gives as evidence stands in the record
of the decision beside its result, for a decision that is made again uses what was said then, and asks nobody.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from obligor.core.errors import ApplicationError, ObligorError
from obligor.core.profile import RESULTS, SCREENING, in_force
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from obligor.core.application import Application
    from obligor.core.profile import GateName, Profile
    from obligor.core.profile import GateResult as Result
    from obligor.core.scopes import Scoping

DEADLINE_S: Final = 0.3
_MOST_AT_ONCE: Final = 32
_MOST_EVIDENCE: Final = 1 << 14


class GateResult(NamedTuple):
    """What a gate says of one applicant."""

    result: Result
    evidence: Mapping[str, object] = {}
    """What it rests on, as plain data, for the record: ids and hashes, never what a person said, nor details of a hit.

    It is not changed once it was given: what is given again is written down as it was the first time.
    """


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


@runtime_checkable
class PromptGate(Gate, Protocol):
    """A gate that can often tell without waiting, which costs a decision a tenth of being awaited."""

    def at_once(self, application: Application, *, at: datetime) -> GateResult | None:
        """Judge an applicant where nothing need be waited for; none where it must be.

        Raises
        ------
        ApplicationError
            As ``evaluate`` does.
        """
        ...


class Judged(msgspec.Struct, frozen=True):
    """What the gates said of one application."""

    results: Mapping[str, str]
    """By the name of the gate."""
    evidence: Mapping[str, Any]
    """As JSON, of each gate that was asked."""


NOT_JUDGED: Final = Judged({}, {})
NO_GATES: Final[Mapping[GateName, Gate]] = {}


class Gating:
    """Asks the gates of a service."""

    def __init__(self, gates: Mapping[GateName, Gate], *, deadline_s: float = DEADLINE_S) -> None:
        self._gates, self._deadline_s = gates, deadline_s
        self._prompt = {name: it for name, it in gates.items() if isinstance(it, PromptGate)}
        self._last: dict[GateName, _Said] = {}
        """What each said last: most say the same of nearly everybody, and it is written down once."""

    async def judge(self, application: Application, profile: Profile, *, at: datetime) -> Judged:
        """Ask every gate that a profile does not have off; one that the service has not says nothing.

        Raises
        ------
        ApplicationError
            Where an enforced gate finds the application itself at fault.
        UnavailableError
            Where the profile is not in force: then nobody is asked.
        """
        said, waited_for = self._ask(application, profile, at)
        if waited_for:
            waiting = {it.name: asyncio.ensure_future(it.evaluate(application, at=at)) for it in waited_for}
            said |= await self._wait(waiting)
        return _judged(said, profile)

    def at_once(self, application: Application, profile: Profile, *, at: datetime) -> Judged | None:
        """Ask as ``judge`` does; none where a gate must be waited for.

        Raises
        ------
        ApplicationError, UnavailableError
            As ``judge`` does.
        """
        said, waited_for = self._ask(application, profile, at)
        return None if waited_for else _judged(said, profile)

    def _ask(
        self, application: Application, profile: Profile, at: datetime
    ) -> tuple[dict[GateName, _Said], list[Gate]]:
        """Ask those that tell at once, and give the others."""
        in_force(profile, at)
        said: dict[GateName, _Said] = {}
        waited_for: list[Gate] = []
        for name in profile.asked:
            gate = self._gates.get(name)
            if gate is None:
                continue
            prompt = self._prompt.get(name)
            told = None if prompt is None else _said(partial(prompt.at_once, application, at=at), self._last.get(name))
            if told is None:
                waited_for.append(gate)
            else:
                said[name] = told
                if told.told is not None:
                    self._last[name] = told
        return said, waited_for

    async def _wait(self, waiting: Mapping[GateName, asyncio.Future[GateResult]]) -> dict[GateName, _Said]:
        try:
            await asyncio.wait(waiting.values(), timeout=self._deadline_s)
        finally:
            for it in waiting.values():
                it.cancel()  # one that is done takes no notice, and nobody waits for one that takes none either
        return {
            name: _LATE if not it.done() or it.cancelled() else _said(it.result) or _NONSENSE
            for name, it in waiting.items()
        }

    async def judge_many(
        self,
        applications: Sequence[Application | ObligorError],
        profile: Profile,
        *,
        at: datetime,
        scoping: Scoping | None = None,
    ) -> list[Judged | ObligorError]:
        """Ask the gates of several applications, so many at a time; what is an error already stays one.

        Parameters
        ----------
        scoping
            Tells what of the profile holds for each, where it has scopes.
        """
        if not profile.asked:
            return [it if isinstance(it, ObligorError) else NOT_JUDGED for it in applications]
        seats, turns = asyncio.Semaphore(_MOST_AT_ONCE), asyncio.Lock()

        async def one(application: Application | ObligorError) -> Judged | ObligorError:
            if isinstance(application, ObligorError):
                return application
            async with seats:
                async with turns:
                    await asyncio.sleep(0)  # others wait for the loop
                try:
                    held = profile if scoping is None else scoping.of(application.fields).profile
                    return await self.judge(application, held, at=at)
                except ApplicationError as error:
                    return error.alone()

        return await asyncio.gather(*map(one, applications))


def _judged(said: Mapping[GateName, _Said], profile: Profile) -> Judged:
    for name, it in said.items():
        if it.refusal is not None and profile.gate(name).state == "enforce":
            raise it.refusal
    return Judged(
        {name: it.result for name, it in said.items()},
        {name: msgspec.Raw(it.evidence) for name, it in said.items()},
    )


def told_outside(because: str, outcome: str) -> str:
    """Word why an application was held or referred, for whoever may learn it: of a gate that leaves it to a person, no more.

    Which gate held an application is not told, whichever it was: if the others were named, silence would name the one of
    which nothing may be told, since that would tip off whom it is about.
    """
    silent = because.startswith("gate:aml:") or (because.startswith("gate:") and outcome != "decline")
    return REVIEW if silent else because


REVIEW: Final = "gate:review"


def hides_from_receipts(gates: Mapping[str, Mapping[str, object]]) -> bool:
    """Tell from the gates of a record whether it may say what is not told outside.

    It does not depend on what the gate said: a record that is kept back only after a hit would tell of the hit.
    """
    return any(gates.get(name, {}).get("state", "off") != "off" for name in SCREENING)


class _Said(msgspec.Struct, frozen=True):
    result: Result
    evidence: bytes
    refusal: ApplicationError | None = None
    told: GateResult | None = None
    """What was written down."""


def _trouble(what: str) -> bytes:
    return b'{"trouble":"%b"}' % what.encode()


_LATE: Final = _Said("pending", _trouble("late"))
_NONSENSE: Final = _Said("pending", _trouble("nonsense"))


def _said(judge: Callable[[], GateResult | None], last: _Said | None = None) -> _Said | None:
    """Take what a gate says as far as it can be taken; none where it says nothing yet. ``last`` is what it said before."""
    try:
        told = judge()
    except ApplicationError as error:
        return _Said("pending", _trouble("refused"), error)
    except Exception:  # noqa: BLE001  whatever it is, the gate has not said that the applicant passes
        return _Said("pending", _trouble("failed"))
    if told is None:
        return None
    return last if last is not None and told is last.told else _written(told)


def _written(told: GateResult) -> _Said:
    """Write down what a gate says, where it makes sense."""
    try:
        result, evidence = told
        as_json = encode(evidence)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _NONSENSE
    if result not in RESULTS or len(as_json) > _MOST_EVIDENCE:
        return _NONSENSE
    return _Said(result, as_json, told=told)
