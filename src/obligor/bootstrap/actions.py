"""Records what a lender did beside its decisions, from the command line and for the doors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from obligor.bootstrap.acting import caller_acting
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.store import service_settings
from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from datetime import date

    from obligor.bootstrap.store import Store
    from obligor.serving.actions.recording import ActionService
    from obligor.serving.acts import Recorded
    from obligor.serving.register import Register

    Recording = Callable[..., Coroutine[Any, Any, Recorded]]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done beside a decision."""

    told: dict[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.told

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        it = self.told
        until = f", until {it['until']}" if it["until"] else ""
        return [f"decision {it['decision_id']}: {it['step']} on {it['done_on']}{until}"]


def make_offer(
    decision_id: str, *, terms: Sequence[str], rate: float | None, offered_on: date, respond_by: date
) -> Done:
    """Say that other terms were offered in place of a decline."""
    said = {
        "terms": dict(_term(it) for it in terms),
        "rate": rate,
        "offered_on": offered_on.isoformat(),
        "respond_by": respond_by.isoformat(),
    }
    return _recorded(decision_id, said, lambda service: service.offer)


def answer_offer(decision_id: str, *, accepted: bool, answered_on: date) -> Done:
    """Say whether a counter-offer was taken."""
    said = {"accepted": accepted, "answered_on": answered_on.isoformat()}
    return _recorded(decision_id, said, lambda service: service.answer)


def tell_incomplete(decision_id: str, *, fields: Sequence[str], respond_by: date) -> Done:
    """Say what an application lacks."""
    said = {"fields": list(fields), "respond_by": respond_by.isoformat()}
    return _recorded(decision_id, said, lambda service: service.incomplete)


def _term(said: str) -> tuple[str, Any]:
    """Read NAME=VALUE; a value that is JSON is what it says, and any other a text."""
    name, found, value = said.partition("=")
    if not found:
        raise InvalidInputError("--term: wanted NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _recorded(decision_id: str, said: Mapping[str, Any], which: Callable[[ActionService], Recording]) -> Done:
    try:
        wanted = UUID(decision_id)
    except ValueError:
        raise InvalidInputError("DECISION_ID: wanted the id of a decision") from None
    settings = service_settings()

    async def recorded(store: Store) -> Done:
        from obligor.bootstrap.decisions import open_decisions

        caller = await caller_acting(store, "action.report")
        async with open_decisions(store, settings) as decisions:
            act = which(open_action_service(store, decisions.register))
            done = await act(caller, key=uuid4().hex, decision_id=wanted, body=json.dumps(said).encode())
        return Done(json.loads(done.response))

    return with_anchored_store(recorded, settings)


def open_action_service(store: Store, register: Register) -> ActionService:
    """Build the use case of what is done beside decisions."""
    from obligor.serving.actions.recording import ActionService

    return ActionService(
        register=register,
        answers=store.archive,
        actions=store.actions,
        recorder=store.recorder,
        sources=store.sources,
    )
