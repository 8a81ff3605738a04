"""The Merkle tree of RFC 6962: one hash that stands for every leaf of the log, and short proofs of what it holds.

A tree of ``n`` leaves is a row of perfect subtrees, one for each binary digit of ``n`` that is set, the largest first. A
``Frontier`` keeps the roots of that row, which is all that a writer needs. A proof names ranges of leaves; the hash of a range
is folded from *stored* hashes: those of the leaves (level 0), and the roots of complete subtrees of ``256**level`` leaves. So a
proof in a log of ten million leaves reads a handful of tiles of 256 hashes. The words are those of RFC 9162, section 2.1.

Nothing here is secret, and every function of a proof gives its verdict as a boolean: the caller says what it means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from obligor.core.errors import AuditError

HASH_BYTES: Final = 32
TILE: Final = 256
_TILE_BITS: Final = 8
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Stored = Callable[[int, int, int], Sequence[bytes]]
"""Gives the stored hashes of a level from a first index (closed) to a last one (open): ``stored(level, start, stop)``."""


def leaf_hash(body: bytes) -> bytes:
    """Give the hash of a leaf; the zero byte tells leaves from nodes."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Give the hash of a node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class StoredNode:
    """The root of the complete subtree number ``index`` among those of ``256**level`` leaves."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class RangeHash:
    """The hash of the leaves from ``start`` (closed) to ``stop`` (open), where the tree has a node over them."""

    start: int
    stop: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: the roots of its perfect subtrees, the largest first."""

    size: int = 0
    edge: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.edge) != self.size.bit_count():
            raise AuditError(
                f"a tree of {self.size} leaves with {len(self.edge)} subtrees; wanted one for each binary digit"
            )

    @property
    def root(self) -> bytes:
        """The hash of the whole tree."""
        return _fold_right(self.edge)

    def extend(self, hashes: Iterable[bytes]) -> Growth:
        """Append leaves by their hashes, and give what became of the tree."""
        edge, size = list(self.edge), self.size
        nodes: list[StoredNode] = []
        sha256 = hashlib.sha256
        for leaf in hashes:
            right, height = leaf, 0
            while size >> height & 1:
                right = sha256(b"\x01" + edge.pop() + right).digest()
                height += 1
                if not height % _TILE_BITS:
                    nodes.append(StoredNode(height // _TILE_BITS, size >> height, right))
            edge.append(right)
            size += 1
        return Growth(Frontier(size, tuple(edge)), tuple(nodes))


@dataclass(frozen=True, slots=True)
class Growth:
    """What appending leaves gave: the new right edge, and the roots of subtrees that are now complete and are stored."""

    frontier: Frontier
    nodes: tuple[StoredNode, ...]

    @property
    def root(self) -> bytes:
        """The hash of the grown tree."""
        return self.frontier.root


def frontier_of(size: int, stored: Stored) -> Frontier:
    """Read the right edge of a tree of a size from its stored hashes.

    Raises
    ------
    AuditError
        Where a stored hash is missing.
    """
    read = _by_tiles(stored, size)
    return Frontier(size, tuple(_perfect_root(start, height, read) for start, height in _perfect_parts(0, size)))


def root_of(size: int, stored: Stored) -> bytes:
    """Give the root of a tree of a size from its stored hashes."""
    return frontier_of(size, stored).root


def inclusion_proof(index: int, size: int, stored: Stored) -> tuple[bytes, ...]:
    """Prove that the leaf at an index (from 0) is in the tree of a size: its siblings, from the leaf up.

    Raises
    ------
    AuditError
        Where the tree has no such leaf, or a stored hash is missing.
    """
    if not 0 <= index < size:
        raise AuditError(f"leaf {index}: the tree has {size} leaves")
    read = _by_tiles(stored, size)
    return tuple(_range_root(start, stop, read) for start, stop in _siblings(index, size))


def consistency_proof(old: int, new: int, stored: Stored) -> tuple[bytes, ...]:
    """Prove that the tree of the new size begins with every leaf of the tree of the old size, in their order.

    Raises
    ------
    AuditError
        Where the sizes are not in order, or a stored hash is missing.
    """
    if not 0 <= old <= new:
        raise AuditError(f"sizes {old} and {new}: wanted an older and a newer size, from 0")
    if old in (0, new):
        return ()
    read = _by_tiles(stored, new)
    return tuple(_range_root(start, stop, read) for start, stop in _consistency_ranges(old, new))


def hashes_around(first: int, stop: int, size: int, stored: Stored) -> tuple[RangeHash, ...]:
    """Give the few hashes that, with the leaves from ``first`` (closed) to ``stop`` (open), make the root of a tree.

    Raises
    ------
    AuditError
        Where the tree has no such leaves, or a stored hash is missing.
    """
    if not 0 <= first < stop <= size:
        raise AuditError(f"leaves {first} to {stop}: the tree has {size} leaves")
    read, found, open_ranges = _by_tiles(stored, size), [], [(0, size)]
    while open_ranges:
        start, end = open_ranges.pop()
        if end <= first or start >= stop:
            found.append(RangeHash(start, end, _range_root(start, end, read)))
        elif not (first <= start and end <= stop):
            middle = start + _split(end - start)
            open_ranges += [(middle, end), (start, middle)]
    return tuple(found)


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a proof leads from the hash of a leaf to a root (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size or any(len(part) != HASH_BYTES for part in (leaf, *proof)):
        return False
    here, last, value = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            value = node_hash(part, value)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            value = node_hash(value, part)
        here, last = here >> 1, last >> 1
    return last == 0 and value == root


# Ranges of leaves


def _siblings(index: int, size: int) -> list[tuple[int, int]]:
    """Give the ranges whose hashes lead from a leaf to the root, from the leaf up."""
    start, stop, found = 0, size, []
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def _consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """Give the ranges of a proof of consistency; the old tree itself is left out where it is a perfect subtree."""
    start, stop, found = 0, new, []
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    if start > 0:
        found.append((start, stop))
    return found[::-1]


def _split(count: int) -> int:
    """Give the largest power of two below a count of two or more."""
    return 1 << ((count - 1).bit_length() - 1)


def _perfect_parts(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cut a range that begins at a subtree's left end into perfect subtrees, as their starts and heights, largest first."""
    while start < stop:
        height = (stop - start).bit_length() - 1
        yield start, height
        start += 1 << height


# Hashes of ranges


def _range_root(start: int, stop: int, read: Stored) -> bytes:
    return _fold_right([_perfect_root(at, height, read) for at, height in _perfect_parts(start, stop)])


def _perfect_root(start: int, height: int, read: Stored) -> bytes:
    """Fold the root of a perfect subtree from stored hashes of the highest level that lies within it."""
    level = height // _TILE_BITS
    first, count = start >> level * _TILE_BITS, 1 << height % _TILE_BITS
    row = read(level, first, first + count)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _fold_right(parts: Sequence[bytes]) -> bytes:
    if not parts:
        return EMPTY_ROOT
    value = parts[-1]
    for part in parts[-2::-1]:
        value = node_hash(part, value)
    return value


def _by_tiles(stored: Stored, size: int) -> Stored:
    """Read stored hashes by whole tiles, each once, and refuse a tile that lacks one."""
    tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    def read(level: int, start: int, stop: int) -> Sequence[bytes]:
        tile = start // TILE
        if (level, tile) not in tiles:
            last = min((tile + 1) * TILE, size >> level * _TILE_BITS)
            found = stored(level, tile * TILE, last)
            if len(found) != last - tile * TILE:
                raise AuditError(f"hashes {tile * TILE} to {last} of level {level}: the log keeps {len(found)} of them")
            tiles[level, tile] = found
        return tiles[level, tile][start - tile * TILE : stop - tile * TILE]

    return read
