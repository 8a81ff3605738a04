"""What verifying asks of the place that keeps the log.

Everything is of one moment of the store, and comes as a stream in an order that is stated, so that a log of any length is read
in little memory. Values of rows come in the plain form that records have: times as ``core.leaves`` writes them, dates in ISO
form, bytes in hexadecimal, identifiers as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from obligor.core.checkpoints import Note
    from obligor.core.merkle import StoredNode


@dataclass(frozen=True, slots=True)
class StoredLeaf:
    """A leaf with the record it commits to; ``record`` and ``salt`` are None where there is none."""

    index: int
    kind: str
    body: bytes
    hash: bytes
    record: bytes | None
    salt: bytes | None


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row that is kept beside the log to be found again, with the leaf it belongs to."""

    leaf_index: int
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request that recorded something: its first leaf, and the answer that is given again when it is repeated."""

    leaf_index: int
    client_id: str
    route: str
    key: str
    response: bytes


@dataclass(frozen=True, slots=True)
class StoredArtefact:
    """The bytes of a card, a policy or a profile, under the hash of what they say."""

    sha256: str
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A checkpoint as it is kept, under the size it is kept for."""

    size: int
    note: bytes


class LogSource(Protocol):
    """One moment of a store that keeps a log."""

    def head(self) -> int:
        """Give the number of leaves that the tree head tells."""
        ...

    def leaves(self, start: int = 0, stop: int | None = None) -> Iterator[StoredLeaf]:
        """Give leaves from an index (closed) to another (open) or to the end, by index."""
        ...

    def restores(self) -> Iterator[StoredLeaf]:
        """Give the leaves by which people took note that the log was set back, by index."""
        ...

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Give stored hashes of a level: of leaves (0), or of nodes."""
        ...

    def nodes(self, level: int) -> Iterator[StoredNode]:
        """Give the nodes of a level, by index."""
        ...

    def repeated(self) -> Iterator[tuple[int, int]]:
        """Give the leaves whose hash an earlier leaf has: their index and that of the first."""
        ...

    def stray_records(self) -> Iterator[int]:
        """Give the indices of records that belong to no leaf."""
        ...

    def rows(self, table: str) -> Iterator[StoredRow]:
        """Give the rows of a table that repeats records, such as ``decision``, by the index of their leaf."""
        ...

    def requests(self) -> Iterator[StoredRequest]:
        """Give the requests that recorded something, by the index of their first leaf."""
        ...

    def api_keys(self) -> Iterator[Mapping[str, object]]:
        """Give the API keys as they stand."""
        ...

    def people(self, table: str) -> Iterator[Mapping[str, object]]:
        """Give the rows of ``app_user`` or ``user_role`` as they stand; none where the store is older than they are."""
        ...

    def webhooks(self) -> Iterator[Mapping[str, object]]:
        """Give the endpoints of clients as they stand; of their secrets the SHA-256."""
        ...

    def privacy(self, table: str) -> Iterator[Mapping[str, object]]:
        """Give the rows of ``erasure``, ``legal_hold`` or ``keyring`` as they stand."""
        ...

    def key_faults(self) -> Sequence[str]:
        """Tell, in a sentence each, which keys of subjects are gone without an erasure, or there in spite of one."""
        ...

    def artefacts(self) -> Iterator[StoredArtefact]:
        """Give every card, policy and profile, by hash."""
        ...

    def checkpoints(self) -> Iterator[StoredNote]:
        """Give the checkpoints, by size."""
        ...

    def unguarded(self) -> Sequence[str]:
        """Tell, in a sentence each, which guards of the append-only tables are missing or switched off."""
        ...


class Signatures(Protocol):
    """Checks what the deployment's key signed."""

    def signed_note(self, note: Note) -> bool:
        """Tell whether a note bears a true signature of the key."""
        ...

    def signed_statement(self, statement: bytes, signature: bytes, *, purpose: str) -> bool:
        """Tell whether a statement was signed for this purpose."""
        ...
