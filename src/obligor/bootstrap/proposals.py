"""Shows from the command line what waits for a second person, and agrees to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from obligor.bootstrap.acting import acting
from obligor.bootstrap.anchors import anchored
from obligor.bootstrap.store import database, open_store, service_settings

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.bootstrap.store import Store
    from obligor.serving.acts import ProposalRow
    from obligor.serving.proposals import Proposal, Proposals

_ADMINISTRATORS: Final = 2
"""Before there have been so many, nobody can be given a role by two people, and one person acts alone."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A step of a proposal: it was made, or somebody agreed."""

    told: dict[str, Any]
    """As ``serving.proposals.plain_step`` gives it."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.told

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        it, id_ = self.told, self.told["proposal_id"]
        if it["state"] == "agreed":
            return [f"{it['agreed_by']} agreed to {id_}; {it['proposed_by']} does it by the same command as before"]
        return [
            f"proposed {id_}; another person agrees to it: obligor proposals agree {id_}",
            f"then give the same command again, before {it['expires_at']}",
        ]


def proposed(row: ProposalRow) -> Proposed:
    """Give a step of a proposal as the command line tells it."""
    from obligor.serving.proposals import plain_step

    return Proposed(plain_step(row))


@dataclass(frozen=True, slots=True)
class Listed:
    """The proposals that are neither done nor expired, as they are at an instant."""

    waiting: tuple[Proposal, ...]
    at: datetime

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.proposals import plain

        return {"proposals": [plain(it, self.at) for it in self.waiting]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [
            f"{it.proposed.proposal_id}  {it.state(self.at):<8}  {it.proposed.kind} {it.proposed.said}  "
            f"by {it.proposed.by}{f': {it.proposed.because}' if it.proposed.because else ''}"
            for it in self.waiting
        ] or ["Nothing waits for a second person."]


async def open_proposals(store: Store) -> Proposals:
    """Give what has an act done by two people, as the command line does it: by one, until there have been two."""
    from obligor.serving.proposals import Proposals

    alone = await store.people.ever("admin") < _ADMINISTRATORS
    return Proposals(store.proposals, store.people, store.recorder, store.sources, alone=alone)


def list_proposals() -> Listed:
    """Give what waits for a second person."""
    settings = service_settings()

    async def listed(url: str) -> Listed:
        async with open_store(url, settings) as store:
            return Listed(await (await open_proposals(store)).waiting(), store.sources.now())

    with database(settings) as url:
        return asyncio.run(listed(url))


def agree_to(proposal_id: str) -> Proposed:
    """Agree to what another person proposed."""
    settings = service_settings()

    async def agreed(url: str) -> Proposed:
        async with open_store(url, settings) as store, anchored(store, settings):

            async def naming(permission: str) -> str:
                await acting(store, "proposal.agree")
                return await acting(store, permission)

            return proposed(await (await open_proposals(store)).agree(proposal_id, naming=naming))

    with database(settings) as url:
        return asyncio.run(agreed(url))
