"""One decision: what comes of an application, and why, as one value.

Several things speak to an outcome: the knock-outs that fired, the gates of the compliance profile, and the score at its
cut-off. Each gives a ruling; the gravest counts: decline before hold before refer before approve. Of rulings that are equally
grave the first counts, in this order: knock-outs, gates, score. So nobody is approved against an enforced gate, and no
gate, and no rule, can turn a decline into an approval.

Only a decline has reasons, and only those of what declined: a rule that declines by itself is named, and nothing of the score
beside it (12 CFR 1002, comment 9(b)(2)-8). Reasons that cannot be told are not made up: a decline by a score that falls short
of nothing, or by a reason without a text, is referred to a person. ``hold`` is no adverse action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from obligor.core.profile import in_force, record_gates
from obligor.core.reasons import MOST_REASONS, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from obligor.core.profile import GateName, GateRecord, Profile

DecisionOutcome = Literal["approve", "refer", "decline", "hold"]


class Fired(NamedTuple):
    """A knock-out that fired."""

    name: str
    outcome: Literal["decline", "refer"]
    reason: Reason


class Reading(NamedTuple):
    """What a policy reads from one application.

    A named tuple, as one is made for every decision.
    """

    segment: str | None
    """The level of its segment."""
    amount: float | None
    cutoff: int
    """The score from which it is approved, in thousandths."""
    grey: int
    """Thousandths below and above the cut-off within which it is referred."""
    fired: tuple[Fired, ...]
    """The knock-outs that fired, in the order of the policy."""


class Decision(NamedTuple):
    """What comes of an application.

    A named tuple, as one is made for every decision.
    """

    outcome: DecisionOutcome
    because: str
    """`score`, `grey_zone`, `knockout:<name>`, `gate:<name>:<result>`, `no_principal_reason` or `reason_without_text`."""
    cutoff: int
    """The score from which it is approved, in thousandths."""
    reasons: tuple[Reason, ...]
    """The principal reasons of a decline, from what declined; none of another outcome."""
    knockouts: tuple[str, ...]
    """The names of those that fired."""
    gates: Mapping[GateName, GateRecord]
    """Every gate, with its state and its result."""


_Ruling = tuple[DecisionOutcome, str, tuple[Reason, ...]]
"""An outcome, why, and the reasons of a decline."""

NOT_EVALUATED: Final[Mapping[str, str]] = {}
_GRAVITY: Final[Mapping[DecisionOutcome, int]] = {"decline": 3, "hold": 2, "refer": 1, "approve": 0}


def decide(
    score: int,
    reading: Reading,
    *,
    reasons: tuple[Reason, ...],
    profile: Profile,
    at: datetime,
    results: Mapping[str, str] = NOT_EVALUATED,
) -> Decision:
    """Decide on one application.

    Parameters
    ----------
    score
        In thousandths.
    reasons
        What falls short of applicants near the cut-off (``reasons.Explainer``); read only where the score declines.
    at
        The instant of the decision, at which the profile must be in force.
    results
        What each gate said of this applicant; one that is not named was not evaluated.

    Raises
    ------
    UnavailableError
        Where the profile is not in force.
    ProfileError
        Where there is no such gate or result.
    """
    gates = record_gates(in_force(profile, at), results)
    ruling, fired = _by_score(score, reading, reasons), reading.fired
    if fired or profile.enforces:
        for other in reversed((*_by_knockouts(fired), *_by_gates(profile, gates))):
            if _GRAVITY[other[0]] >= _GRAVITY[ruling[0]]:  # backwards, so that the first of equals counts
                ruling = other
    outcome, because, told = ruling
    return Decision(outcome, because, reading.cutoff, told, tuple([it.name for it in fired]), gates)


def _by_knockouts(fired: tuple[Fired, ...]) -> Iterator[_Ruling]:
    declining = [it for it in fired if it.outcome == "decline"]
    if declining:
        yield _declined(f"knockout:{declining[0].name}", tuple(it.reason for it in declining[:MOST_REASONS]))
    yield from (("refer", f"knockout:{it.name}", ()) for it in fired if it.outcome == "refer")


def _by_gates(profile: Profile, gates: Mapping[GateName, GateRecord]) -> Iterator[_Ruling]:
    for name, record in gates.items():
        if record.state != "enforce" or record.result == "pass":
            continue
        gate, because = profile.gate(name), f"gate:{name}:{record.result}"
        if record.result != "fail" or gate.on_fail == "hold":
            yield "hold", because, ()
        elif gate.on_fail == "refer":
            yield "refer", because, ()
        else:
            yield _declined(because, (Reason(name, "", 0.0, gate.reason),))


def _by_score(score: int, reading: Reading, reasons: tuple[Reason, ...]) -> _Ruling:
    margin = score - reading.cutoff
    if -reading.grey <= margin < reading.grey:
        return "refer", "grey_zone", ()
    return ("approve", "score", ()) if margin >= 0 else _declined("score", reasons)


def _declined(because: str, reasons: tuple[Reason, ...]) -> _Ruling:
    """Decline where the reasons can be told, and otherwise leave it to a person."""
    if not reasons:
        return "refer", "no_principal_reason", ()
    if not all(it.text.strip() for it in reasons):
        return "refer", "reason_without_text", ()
    return "decline", because, reasons
