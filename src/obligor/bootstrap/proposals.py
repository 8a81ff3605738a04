"""Shows from the command line what waits for a second person, agrees to it, and takes it back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from obligor.bootstrap.acting import acting, caller_acting
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.store import with_store

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.bootstrap.store import Store
    from obligor.serving.people.proposals import Proposal, Proposals
    from obligor.serving.rows import ProposalRow

_ADMINISTRATORS: Final = 2
"""Before there have been so many, nobody can be given a role by two people, and one person acts alone."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A step of a proposal: it was made, somebody agreed, or it was taken back."""

    told: dict[str, Any]
    """As ``serving.people.proposals.plain_step`` gives it."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.told

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        it, id_ = self.told, self.told["proposal_id"]
        if it["state"] == "agreed":
            return [f"{it['agreed_by']} agreed to {id_}; {it['proposed_by']} does it by the same command as before"]
        if it["state"] == "withdrawn":
            return [f"{it['proposed_by']} took {id_} back; nobody agrees to it any more"]
        return [
            f"proposed {id_}; another person agrees to it: obligor proposals agree {id_}",
            f"then give the same command again, before {it['expires_at']}",
        ]


def proposed(row: ProposalRow) -> Proposed:
    """Give a step of a proposal as the command line tells it."""
    from obligor.serving.people.proposals import plain_step

    return Proposed(plain_step(row))


@dataclass(frozen=True, slots=True)
class Listed:
    """The proposals that wait, and those that ended undone of late, as they are at an instant."""

    undone: tuple[Proposal, ...]
    at: datetime

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.people.proposals import plain

        return {"proposals": [plain(it, self.at) for it in self.undone]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [
            f"{it.proposed.proposal_id}  {it.state(self.at):<9}  {it.proposed.kind} {it.proposed.said}  "
            f"by {it.proposed.by}{f': {it.proposed.because}' if it.proposed.because else ''}"
            f"{f'; taken back: {it.withdrawn.because}' if it.withdrawn else ''}"
            for it in self.undone
        ] or ["Nothing waits for a second person."]


async def open_proposals(store: Store) -> Proposals:
    """Give what has an act done by two people, as the command line does it: by one, until there have been two."""
    from obligor.serving.people.proposals import Proposals

    alone = await store.people.ever("admin") < _ADMINISTRATORS
    return Proposals(store.proposals, store.people, store.recorder, store.sources, alone=alone)


def list_proposals() -> Listed:
    """Give what waits for a second person, and what ended undone of late, of what who acts may agree to."""

    async def listed(store: Store) -> Listed:
        from obligor.serving.people.proposals import open_to

        caller = await caller_acting(store, "proposal.agree")
        found = await (await open_proposals(store)).undone()
        known = await store.people.person(caller.subject)
        return Listed(found if known is None else open_to(found, caller), store.sources.now())

    return with_store(listed)


def agree_to(proposal_id: str) -> Proposed:
    """Agree to what another person proposed."""

    async def agreed(store: Store) -> Proposed:
        await acting(store, "proposal.agree")
        agreement = (await open_proposals(store)).agree(proposal_id, naming=partial(caller_acting, store))
        return proposed(await agreement)

    return with_anchored_store(agreed)


def withdraw(proposal_id: str, *, because: str) -> Proposed:
    """Take back what one proposed."""

    async def withdrawn(store: Store) -> Proposed:
        by = await acting(store, "proposal.agree")
        return proposed(await (await open_proposals(store)).withdraw(proposal_id, because=because, by=by))

    return with_anchored_store(withdrawn)
