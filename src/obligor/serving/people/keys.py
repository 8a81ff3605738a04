"""What is ordered of API keys over a door: to give a client one, to replace one, to take one away; and which there are.

Each is the very act that the command line orders. To give and to replace takes two people: the text of the new key is shown to
the one who asked for it, in the answer of the request that makes it, and is in no answer that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import msgspec

from obligor.security.api_keys import (
    KEY_ID,
    MOST_DAYS,
    MOST_OVERLAP_HOURS,
    SCOPES,
    USUAL_DAYS,
    USUAL_OVERLAP_HOURS,
    USUAL_SCOPES,
)
from obligor.security.networks import LONGEST_NETWORK, MOST_NETWORKS
from obligor.security.permissions import allow, allow_person
from obligor.serving.idempotency import request_saying
from obligor.serving.once import once, shown_beside
from obligor.serving.people.authenticating import key_of
from obligor.serving.people.issuing import (
    issue,
    order_to_issue,
    order_to_rotate,
    plain_key,
    plain_listed,
    revoke,
    rotate,
)
from obligor.serving.people.proposals import plain_step
from obligor.serving.rows import ApiKeyRow, ProposalRow
from obligor.serving.said import MOST_BECAUSE, read_said

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from obligor.security.api_keys import NewKey
    from obligor.serving.acts import Caller, Recorded, Recorder, Request, Submission
    from obligor.serving.once import Answers
    from obligor.serving.people.proposals import Order, Proposals
    from obligor.serving.sources import Sources

MOST_BYTES: Final = 1 << 12
_KeyId = Annotated[str, msgspec.Meta(pattern=f"^{KEY_ID}$", max_length=12)]
_Scope = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(SCOPES)})$")]
_Network = Annotated[str, msgspec.Meta(max_length=LONGEST_NETWORK)]
_Days = Annotated[int, msgspec.Meta(ge=1, le=MOST_DAYS)]
_Reason = Annotated[str, msgspec.Meta(max_length=MOST_BECAUSE)]


class NewApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that a client is to get."""

    client: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    name: Annotated[str, msgspec.Meta(max_length=100)] = ""
    scopes: Annotated[tuple[_Scope, ...], msgspec.Meta(min_length=1, max_length=len(SCOPES))] = USUAL_SCOPES
    networks: Annotated[tuple[_Network, ...], msgspec.Meta(max_length=MOST_NETWORKS)] = ()
    days: _Days = USUAL_DAYS
    because: _Reason = ""
    """For the person who is asked to agree."""


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that another is to take the place of."""

    key_id: _KeyId
    days: _Days = USUAL_DAYS
    overlap_hours: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERLAP_HOURS)] = USUAL_OVERLAP_HOURS
    because: _Reason = ""


class NamedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that is to open nothing any more."""

    key_id: _KeyId


class ApiKeyArchive(Protocol):
    """Where keys are found."""

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        """Find a key by its id."""
        ...

    async def api_keys(self) -> tuple[ApiKeyRow, ...]:
        """Give every key there is and was, by client and age."""
        ...


@dataclass(frozen=True, slots=True)
class KeyDesk:
    """Where administrators, and for replacing a key operators, give their orders."""

    keys: ApiKeyArchive
    answers: Answers
    proposals: Proposals

    @property
    def sources(self) -> Sources:
        """The clock, and where secrets are drawn from."""
        return self.proposals.sources

    async def listed(self, caller: Caller) -> list[dict[str, Any]]:
        """Tell of every key there is and was, by client and age."""
        allow(caller, "key.read")
        at = self.sources.now()
        return [plain_listed(key_of(it), at) for it in await self.keys.api_keys()]

    async def create(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Make a key for a client, or propose to.

        Raises
        ------
        ForbiddenError, ClashError, InvalidInputError, KeyReusedError, UnavailableError
            As they say.
        """
        by, said = allow_person(caller, "key.manage"), read_said(body, NewApiKey, most=MOST_BYTES)
        wanted: dict[str, Any] = {
            "scopes": said.scopes,
            "networks": said.networks,
            "lasts": timedelta(days=said.days),
            "name": said.name,
        }
        order = order_to_issue(said.client, because=said.because, **wanted)

        async def issued(recorder: Recorder) -> NewKey:
            return await issue(said.client, by=by, recorder=recorder, sources=self.sources, **wanted)

        request = request_saying(caller, route="keys", key=key, said=[order.text, order.because])
        return await self._shown_once(request, order, issued, by=by)

    async def rotate(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Make a key that takes the place of another, or propose to."""
        by, said = allow_person(caller, "key.rotate"), read_said(body, Rotation, most=MOST_BYTES)
        lasts, overlap = timedelta(days=said.days), timedelta(hours=said.overlap_hours)
        order = order_to_rotate(said.key_id, lasts=lasts, overlap=overlap, because=said.because)

        async def rotated(recorder: Recorder) -> NewKey:
            old = await self.keys.api_key(said.key_id)
            return await rotate(old, lasts=lasts, overlap=overlap, by=by, recorder=recorder, sources=self.sources)

        request = request_saying(caller, route="keys/rotate", key=key, said=[order.text, order.because])
        return await self._shown_once(request, order, rotated, by=by)

    async def revoke(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Take a key away: it cannot wait, and one person does."""
        by, said = allow_person(caller, "key.revoke"), read_said(body, NamedKey, most=MOST_BYTES)

        async def revoked(recorder: Recorder) -> None:
            old = await self.keys.api_key(said.key_id)
            await revoke(old, by=by, recorder=recorder, sources=self.sources)

        request = request_saying(caller, route="keys/revoke", key=key, said=said.key_id)
        return await once(self.answers, self.proposals.recorder, request, revoked, told=_told)

    async def _shown_once(
        self, request: Request, order: Order, work: Callable[[Recorder], Awaitable[NewKey]], *, by: str
    ) -> Recorded:
        """Do what is ordered, or propose it; a key that this very request made is shown, and one that it made before is not."""
        made: NewKey | None = None

        async def ordered(recorder: Recorder) -> None:
            nonlocal made
            done = await replace(self.proposals, recorder=recorder).together(order, work, by=by)
            made = None if isinstance(done, ProposalRow) else done

        recorded = await once(self.answers, self.proposals.recorder, request, ordered, told=_told)
        if made is None or recorded.replayed:
            return recorded
        return shown_beside(recorded, {"api_key": made.text})


def _told(submission: Submission) -> dict[str, Any]:
    """Give the answer of an act: the key that was made or taken away, and the one whose place it takes."""
    told: dict[str, Any] = {}
    for act in submission.acts:
        for row in act.rows:
            if isinstance(row, ProposalRow) and row.step == "proposed":
                told |= plain_step(row)
            elif isinstance(row, ApiKeyRow):
                told |= {"replaces": plain_key(row)} if act.kind == "key.rotated" else plain_key(row)
    return told
