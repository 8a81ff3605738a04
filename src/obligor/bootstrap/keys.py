"""Gives, lists and takes away API keys from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from obligor.bootstrap.acting import acting, with_reader
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.proposals import Proposed, open_proposals, proposed
from obligor.core.errors import InvalidInputError
from obligor.security.api_keys import ApiKey, check_client, check_scopes, is_key_id, parse_key
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
from obligor.serving.rows import ProposalRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from obligor.bootstrap.store import Store
    from obligor.security.api_keys import NewKey
    from obligor.serving.acts import Recorder


@dataclass(frozen=True, slots=True)
class Shown:
    """A key just made, whose text is shown this once, and the key that it takes the place of."""

    new: NewKey
    old: ApiKey | None = None

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``; the one place that shows the text."""
        replaces = {} if self.old is None else {"replaces": plain_key(self.old)}
        return {"key": self.new.text, **plain_key(self.new.kept), **replaces}

    def lines(self) -> list[str]:
        """Say all but the text, in lines for a person."""
        it, opens = self.new.kept, ", ".join(sorted(self.new.kept.scopes))
        alone = f", from {', '.join(map(str, it.networks))} alone" if it.networks else ""
        said = [f"key {it.key_id} of client {it.client_id} opens {opens} until {_minute(it.expires_at)}{alone}"]
        if self.old is not None:
            said.append(f"key {self.old.key_id}, whose place it takes, opens until {_minute(self.old.expires_at)}")
        return [*said, "it is shown this once and kept nowhere"]


@dataclass(frozen=True, slots=True)
class Listed:
    """Keys, by client and age, as they are at an instant."""

    keys: tuple[ApiKey, ...]
    at: datetime

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {"keys": [plain_listed(it, self.at) for it in self.keys]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        if not self.keys:
            return ["There is no API key; obligor keys create CLIENT makes one."]
        width = max(len(it.client_id) for it in self.keys)
        return [
            f"{it.key_id}  {it.client_id:<{width}}  {it.state(self.at):<7}  until {_minute(it.expires_at)}  "
            f"{','.join(sorted(it.scopes))}{f'  {it.name}' if it.name else ''}"
            f"{'  from ' if it.networks else ''}{','.join(map(str, it.networks))}"
            for it in self.keys
        ]


@dataclass(frozen=True, slots=True)
class Revoked:
    """A key that opens nothing any more."""

    key: ApiKey

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return plain_key(self.key)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [f"key {self.key.key_id} of client {self.key.client_id} opens nothing any more"]


def create_key(
    client: str,
    *,
    name: str,
    scopes: Sequence[str],
    lasts: timedelta,
    networks: Sequence[str] = (),
    because: str = "",
) -> Shown | Proposed:
    """Make a key for a client, or propose to."""
    check_client(client)
    check_scopes(scopes)
    wanted: dict[str, Any] = {"scopes": scopes, "networks": networks, "lasts": lasts, "name": name}
    order = order_to_issue(client, because=because, **wanted)

    async def made(store: Store) -> Shown | Proposed:
        by = await acting(store, "key.manage")

        async def issued(recorder: Recorder) -> NewKey:
            return await issue(client, by=by, recorder=recorder, sources=store.sources, **wanted)

        done = await (await open_proposals(store)).together(order, issued, by=by)
        return proposed(done) if isinstance(done, ProposalRow) else Shown(done)

    return with_anchored_store(made)


def list_keys() -> Listed:
    """Give every key there is and was."""

    async def listed(store: Store) -> Listed:
        return Listed(tuple(key_of(row) for row in await store.archive.api_keys()), store.sources.now())

    return with_reader(listed, "key.read")


def revoke_key(key_id: str) -> Revoked:
    """Revoke a key."""
    _check_id(key_id)

    async def revoked(store: Store) -> Revoked:
        row = await store.archive.api_key(key_id)
        by = await acting(store, "key.revoke")
        return Revoked(key_of(await revoke(row, by=by, recorder=store.recorder, sources=store.sources)))

    return with_anchored_store(revoked)


def rotate_key(key_id: str, *, lasts: timedelta, overlap: timedelta, because: str = "") -> Shown | Proposed:
    """Make a key that takes the place of another, or propose to."""
    _check_id(key_id)

    async def made(store: Store) -> Shown | Proposed:
        row, by = await store.archive.api_key(key_id), await acting(store, "key.rotate")

        async def rotated(recorder: Recorder) -> NewKey:
            return await rotate(row, lasts=lasts, overlap=overlap, by=by, recorder=recorder, sources=store.sources)

        order = order_to_rotate(key_id, lasts=lasts, overlap=overlap, because=because)
        done = await (await open_proposals(store)).together(order, rotated, by=by)
        if isinstance(done, ProposalRow):
            return proposed(done)
        old = await store.archive.api_key(key_id)
        return Shown(done, None if old is None else key_of(old))

    return with_anchored_store(made)


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}Z"


def _check_id(text: str) -> None:
    """Refuse what is no id of a key; a whole key that was given by mistake is not repeated."""
    whole = parse_key(text)
    if whole is not None:
        raise InvalidInputError(f"KEY_ID: got a whole key; wanted its id alone, {whole.key_id}")
    if not is_key_id(text):
        raise InvalidInputError("KEY_ID: wanted the 12 characters between the underscores", hint="obligor keys list")
