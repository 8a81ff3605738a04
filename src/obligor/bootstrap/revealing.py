"""Shows personal fields in the clear from the command line, by the use case that REST has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from obligor.bootstrap.acting import acting_in_person
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.proposals import Proposed, open_proposals
from obligor.bootstrap.store import service_settings
from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from obligor.bootstrap.store import Store
    from obligor.serving.people.proposals import Proposals
    from obligor.serving.register import Register
    from obligor.serving.revealing import RevealService


@dataclass(frozen=True, slots=True)
class Revealed:
    """Fields in the clear, and what was recorded of it before."""

    told: dict[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.told

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [f"{name}: {json.dumps(it, ensure_ascii=False)}" for name, it in self.told["values"].items()]


def reveal(
    decision_id: str, *, fields: Sequence[str], purpose: str, password: Callable[[], str]
) -> Revealed | Proposed:
    """Show fields of an application, or propose to; who signs in here shows their password first."""
    try:
        wanted = UUID(decision_id)
    except ValueError:
        raise InvalidInputError("DECISION_ID: wanted the id of a decision") from None
    settings = service_settings()

    async def revealed(store: Store) -> Revealed | Proposed:
        from obligor.bootstrap.decisions import open_decisions
        from obligor.serving.people.proposals import ACCEPTED

        caller = await acting_in_person(store, "personal.reveal", password=password)
        async with open_decisions(store, settings) as decisions:
            service = open_reveals(store, decisions.register, await open_proposals(store))
            body = {"fields": list(fields), "purpose": purpose}
            recorded = await service.reveal(caller, key=uuid4().hex, decision_id=wanted, body=body)
        told = json.loads(recorded.response)
        return Proposed(told) if recorded.status == ACCEPTED else Revealed(told)

    return with_anchored_store(revealed, settings)


def open_reveals(store: Store, register: Register, proposals: Proposals) -> RevealService:
    """Build the use case of what applications say."""
    from obligor.serving.revealing import RevealService

    return RevealService(register=register, answers=store.archive, proposals=proposals)
