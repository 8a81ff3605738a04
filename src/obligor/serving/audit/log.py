"""The audit log of a running service: its signed checkpoints, and proofs of what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from obligor.core.checkpoints import Checkpoint, parse_checkpoint, parse_note
from obligor.core.errors import AuditError, IntegrityError, NotFoundError
from obligor.core.tiles import parse_tile
from obligor.governance.audit.receipts import Receipt, check_receipt
from obligor.security.signing import Verifier, verify_note
from obligor.serving.audit.acts import ActArchive, read_acts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from obligor.core.checkpoints import Note
    from obligor.core.merkle import Frontier
    from obligor.security.signing import SigningKey
    from obligor.serving.acts import Caller
    from obligor.serving.archive import StoredDecision
    from obligor.serving.audit.acts import Page, Span
    from obligor.serving.sources import Sources


class Tree(ActArchive, Protocol):
    """The Merkle tree of the log, where it is kept."""

    async def size(self) -> int:
        """Give the number of leaves."""
        ...

    async def frontier(self, size: int | None = None) -> Frontier:
        """Give the right edge of the tree of a size; of all leaves without one."""
        ...

    async def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Prove that a leaf is in the tree of a size."""
        ...

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Prove that the tree of a size is the beginning of another."""
        ...

    async def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Give stored hashes of a level: of leaves (0), or of nodes."""
        ...

    async def checkpoint(self) -> tuple[int, bytes] | None:
        """Give the size and the note of the newest checkpoint."""
        ...

    async def keep_checkpoint(self, size: int, note: bytes, *, at: datetime) -> None:
        """Keep a checkpoint; the first of a size stays."""
        ...


class AuditLog:
    """Signs the heads of the log, and proves what stands in it."""

    def __init__(self, tree: Tree, key: SigningKey, sources: Sources) -> None:
        self._tree, self._key, self._sources = tree, key, sources
        self._checked: tuple[int, bytes] | None = None
        """The kept checkpoint that was found to be true last."""

    async def key(self) -> bytes:
        """Give the public key that checkpoints verify by, as ``name+id+base64``."""
        return self._key.verifier.text().encode() + b"\n"

    async def checkpoint(self) -> bytes:
        """Give a signed checkpoint of the log as it stands."""
        _, note = await self.signed()
        return note.encode()

    async def signed(self, *, covering: int | None = None) -> tuple[int, Note]:
        """Give the size and the note of a checkpoint: of the log as it stands, or the newest that covers a leaf.

        Raises
        ------
        IntegrityError
            Where the one that is kept was not signed by this log's key, or is not of the log as it is kept.
        """
        kept = await self._tree.checkpoint()
        wanted = await self._tree.size() if covering is None else covering + 1
        if kept is not None and kept[0] >= wanted:
            return kept[0], await self._true(*kept)
        frontier = await self._tree.frontier()
        note = self._key.sign_note(Checkpoint(self._key.name, frontier.size, frontier.root).text())
        await self._tree.keep_checkpoint(frontier.size, note.encode(), at=self._sources.now())
        return frontier.size, note

    async def _true(self, size: int, data: bytes) -> Note:
        """Read a kept checkpoint, and hold it against the key and the log: who writes into the store does not sign."""
        try:
            note = parse_note(data)
            head = parse_checkpoint(note.text)
        except AuditError:
            raise _untrue() from None
        if self._checked != (size, data):
            if (head.origin, head.size) != (self._key.name, size) or not verify_note(note, self._key.verifier):
                raise _untrue()
            if size > await self._tree.size() or (await self._tree.frontier(size)).root != head.root:
                raise _untrue()
            self._checked = size, data
        return note

    async def receipt(self, stored: StoredDecision) -> dict[str, Any]:
        """Prove that a decision is in the log: its leaf, its place, the way to a signed checkpoint, its record and salt.

        Raises
        ------
        IntegrityError
            Where what is kept of it is not what the log holds, so that the receipt would prove nothing.
        """
        size, note = await self.signed(covering=stored.leaf_index)
        proof = await self._tree.inclusion(stored.leaf_index, size)
        receipt = Receipt(stored.leaf, stored.leaf_index, proof, note, stored.record, stored.salt)
        if wrong := check_receipt(receipt, Verifier(self._key.verifier)):
            raise IntegrityError(f"leaf {stored.leaf_index}: no receipt holds: {wrong[0]}", hint="obligor audit verify")
        return receipt.to_plain()

    async def consistency(self, first: int, second: int) -> dict[str, Any]:
        """Prove that the log of a size is the beginning of the log of another.

        Raises
        ------
        NotFoundError
            Where the log never had such a size.
        """
        if not 0 <= first <= second <= await self._tree.size():
            raise NotFoundError("the log never had these sizes, in this order")
        proof = await self._tree.consistency(first, second)
        return {"from": first, "to": second, "proof": [it.hex() for it in proof]}

    async def acts(self, caller: Caller, span: Span) -> Page:
        """Give a page of the acts that a caller may read.

        Raises
        ------
        ForbiddenError
            Where they may read none.
        """
        return await read_acts(self._tree, caller, span)

    async def tile(self, name: str) -> bytes:
        """Give the hashes of a tile of the tree, one after the other.

        Raises
        ------
        NotFoundError
            Where this names no tile, or one of more hashes than the log has yet.
        IntegrityError
            Where the log keeps fewer of them than its size says.
        """
        tile = parse_tile(name)
        if tile is None or not tile.is_in(await self._tree.size()):
            raise NotFoundError("the log has no such tile; wanted LEVEL/NUMBER[.p/WIDTH] of hashes that it has")
        found = await self._tree.hashes(tile.level, tile.start, tile.stop)
        if len(found) != tile.width:
            raise IntegrityError(
                f"tile {name}: the log keeps {len(found)} of its {tile.width} hashes", hint="obligor audit verify"
            )
        return b"".join(found)


def _untrue() -> IntegrityError:
    return IntegrityError(
        "the checkpoint that is kept was not signed by this log, or is of another", hint="obligor audit verify"
    )
