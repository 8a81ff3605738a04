"""Overrides, each held against the authority of the policy that it names, and against the decision that it overrides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from obligor.core.authority import direction_of
from obligor.core.errors import AuditError, PolicyError
from obligor.core.people import are_one_name
from obligor.core.policy import amount_under_authority, parse_policy
from obligor.core.strict_json import read_strict_json
from obligor.governance.audit.examination import Check, Faults, judged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obligor.core.leaves import Leaf
    from obligor.core.policy import Policy


class Kept(Protocol):
    """Where decisions and artefacts are found."""

    def record(self, decision_id: UUID) -> bytes | None:
        """Give the record of a decision."""
        ...

    def artefact(self, sha256: str) -> bytes | None:
        """Give the bytes of a card, a policy or a profile, whatever they are."""
        ...


@dataclass(slots=True)
class Overrides:
    """What was seen of overrides, leaf by leaf."""

    kept: Kept
    beyond: Faults = field(default_factory=Faults)
    count: int = 0

    def take(self, index: int, leaf: Leaf, said: Mapping[str, Any]) -> None:
        """Look at an override."""
        self.count += 1
        for wrong in self._faults(said):
            self.beyond.add(f"override of {leaf.subject} at leaf {index}: {wrong}")

    def check(self) -> Check:
        """Judge that everybody kept to their limit; an amount that is sealed is not looked at."""
        claim = "every override lies within the authority that the policy delegates"
        return judged("authority", claim, self.beyond, {"overrides": self.count})

    def _faults(self, said: Mapping[str, Any]) -> Iterator[str]:
        if said.get("agreed_by") is not None and are_one_name(str(said["agreed_by"]), str(said.get("by"))):
            yield "who decided agreed to it"
        policy, decision = self._policy(str(said.get("policy_sha256"))), self._decision(str(said.get("decision_id")))
        if policy is None or policy.authority is None:
            yield "the policy that it names is not kept, or delegates nothing"
        elif decision is None:
            yield "of a decision that is not there"
        else:
            yield from _against(said, policy, decision)

    def _policy(self, sha256: str) -> Policy | None:
        try:
            return parse_policy(self.kept.artefact(sha256) or b"")
        except PolicyError:
            return None

    def _decision(self, decision_id: str) -> Mapping[str, Any] | None:
        try:
            said = read_strict_json(self.kept.record(UUID(decision_id)) or b"", what="a record", error=AuditError)
        except (AuditError, ValueError):
            return None
        return said if isinstance(said, dict) else None


def _against(said: Mapping[str, Any], policy: Policy, decision: Mapping[str, Any]) -> Iterator[str]:
    authority = policy.authority
    limit = None if authority is None else authority.limits.get(str(said.get("role")))
    if authority is None or limit is None or said.get("limit") != {"amount": limit.amount, "pd": limit.pd}:
        yield "the policy gives its role another limit, or none"
        return
    if said.get("reason") not in authority.reasons:
        yield "the policy has no such reason"
    amount, pd = amount_under_authority(policy, decision.get("input", {})), decision.get("pd")
    above = limit.amount is not None and amount is not None and amount > limit.amount
    if above or not isinstance(pd, float | int) or pd > limit.pd:
        yield "beyond the limit of its role"
    score, cutoff = decision.get("score"), decision.get("cutoff")
    if not isinstance(score, int) or not isinstance(cutoff, int):
        yield "of a decision without a score"
    elif said.get("direction") != direction_of(str(said.get("outcome")), score=score, cutoff=cutoff):
        yield "the score says another direction"
