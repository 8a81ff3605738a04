"""One hash stands for every leaf of the log, and a short proof shows that a leaf is among them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import AuditError
from obligor.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    frontier_of,
    hashes_around,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_inclusion,
)
from obligor.governance.audit.standalone.verify import is_consistent, root_by_inclusion

if TYPE_CHECKING:
    from collections.abc import Sequence

# The leaves, roots and proofs of Google's certificate-transparency, by which other implementations check themselves.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


class Shelf:
    """Keeps hashes of leaves and nodes as a store does, and counts what is read of them."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        self.rows: dict[int, list[bytes]] = {0: list(hashes)}
        self.read = 0
        growth = Frontier().extend(hashes)
        self.frontier = growth.frontier
        for node in growth.nodes:
            row = self.rows.setdefault(node.level, [])
            assert node.index == len(row)
            row.append(node.hash)

    def __call__(self, level: int, start: int, stop: int) -> list[bytes]:
        self.read += stop - start
        return self.rows.get(level, [])[start:stop]


def numbered(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


def by_the_definition(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it is written there."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(by_the_definition(hashes[:split]), by_the_definition(hashes[split:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in CT_LEAVES[:size]]
    assert Frontier().extend(hashes).root.hex() == CT_ROOTS[size]


@pytest.mark.parametrize("sizes", CT_CONSISTENCY)
def test_proofs_of_consistency_are_those_of_certificate_transparency(sizes: tuple[int, int]) -> None:
    shelf = Shelf([leaf_hash(bytes.fromhex(leaf)) for leaf in CT_LEAVES])
    assert [part.hex() for part in consistency_proof(*sizes, shelf)] == CT_CONSISTENCY[sizes]


@given(st.lists(st.binary(max_size=8), max_size=80), st.data())
def test_leaves_appended_in_any_batches_give_the_root_of_the_definition(
    bodies: list[bytes], data: st.DataObject
) -> None:
    hashes = [leaf_hash(body) for body in bodies]
    frontier, at = Frontier(), 0
    while at < len(hashes):
        stop = data.draw(st.integers(at + 1, len(hashes)))
        frontier = frontier.extend(hashes[at:stop]).frontier
        at = stop
    assert frontier.root == by_the_definition(hashes)
    assert frontier_of(len(hashes), Shelf(hashes)) == frontier


@given(st.integers(1, 1200), st.data())
def test_every_leaf_proves_itself_and_no_other(size: int, data: st.DataObject) -> None:
    hashes = numbered(size)
    shelf = Shelf(hashes)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, shelf)
    root = shelf.frontier.root
    assert verify_inclusion(hashes[index], index=index, size=size, proof=proof, root=root)
    assert not verify_inclusion(leaf_hash(b"another"), index=index, size=size, proof=proof, root=root)
    elsewhere = data.draw(st.integers(0, size).filter(lambda other: other != index))
    assert not verify_inclusion(hashes[index], index=elsewhere, size=size, proof=proof, root=root)
    assert not verify_inclusion(hashes[index], index=index, size=size, proof=(*proof, root), root=root)
    if proof:
        assert not verify_inclusion(hashes[index], index=index, size=size, proof=proof[:-1], root=root)
        at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
        bent = [*proof]
        bent[at] = (int.from_bytes(bent[at], "big") ^ 1 << bit).to_bytes(32, "big")
        assert not verify_inclusion(hashes[index], index=index, size=size, proof=bent, root=root)


@given(st.integers(0, 1200), st.integers(0, 1200), st.data())
def test_a_log_that_only_grew_is_consistent_and_one_that_was_rewritten_is_not(
    a: int, b: int, data: st.DataObject
) -> None:
    old, new = sorted((a, b))
    hashes = numbered(new)
    shelf = Shelf(hashes)
    old_root, new_root = root_of(old, shelf), shelf.frontier.root
    proof = [*consistency_proof(old, new, shelf)]
    assert is_consistent(old, new, old_root, new_root, proof)
    assert not is_consistent(old, new, old_root, new_root, [*proof, new_root])
    if 0 < old < new:
        changed = [*hashes]
        changed[data.draw(st.integers(0, old - 1))] = leaf_hash(b"rewritten")
        other = Shelf(changed)
        assert not is_consistent(old, new, old_root, other.frontier.root, [*consistency_proof(old, new, other)])


@given(st.integers(1, 60), st.data())
def test_pymerkle_gives_the_same_roots_and_proofs(size: int, data: st.DataObject) -> None:
    bodies = [number.to_bytes(2, "big") for number in range(size)]
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for body in bodies:
        other.append_entry(body)
    shelf = Shelf([leaf_hash(body) for body in bodies])
    root = other.get_root()
    assert root == shelf.frontier.root
    index = data.draw(st.integers(0, size - 1))
    theirs = other.prove_inclusion(index + 1, size)
    assert tuple(theirs.path) == (leaf_hash(bodies[index]), *inclusion_proof(index, size, shelf))
    old = data.draw(st.integers(1, size))
    old_root = other.get_root(old)
    assert old_root == root_of(old, shelf)
    pymerkle.verify_consistency(root_of(old, shelf), shelf.frontier.root, other.prove_consistency(old, size))
    assert is_consistent(old, size, old_root, root, [*consistency_proof(old, size, shelf)])


A, B, C, D = numbered(4)


@pytest.mark.parametrize(
    ("index", "size", "proof", "root"),
    [
        (1, 1, (), A),  # beyond the end
        (-1, 1, (), A),
        (0, 0, (), A),
        (0, 2, (), A),  # too short a proof, which ends at a root below the root
        (0, 1, (B,), node_hash(B, A)),  # too long a one, which ends above it
        (0, 2, (B, C), node_hash(C, node_hash(A, B))),
    ],
)
def test_a_proof_of_a_leaf_is_as_long_as_the_tree_is_deep(
    index: int, size: int, proof: tuple[bytes, ...], root: bytes
) -> None:
    assert not verify_inclusion(A, index=index, size=size, proof=proof, root=root)
    assert root_by_inclusion(A, index, size, [*proof]) is None


def test_a_proof_is_made_of_hashes_of_one_length() -> None:
    assert verify_inclusion(A, index=0, size=2, proof=(B,), root=node_hash(A, B))
    assert root_by_inclusion(A, 0, 2, [B]) == root_by_inclusion(B, 1, 2, [A]) == node_hash(A, B)
    assert not verify_inclusion(A[:-1], index=0, size=2, proof=(A[-1:] + B,), root=node_hash(A, B))
    assert not verify_inclusion(A, index=0, size=2, proof=(b"",), root=node_hash(A, b""))
    assert not verify_inclusion(b"", index=0, size=1, proof=(), root=b"")


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "proof"),
    [
        (0, 1, A, A, []),  # an empty log has one root
        (0, 1, EMPTY_ROOT, A, [A]),
        (2, 2, A, B, []),
        (2, 2, A, A, [A]),
        (4, 2, A, A, []),  # a log that shrank
        (3, 5, A, A, []),
        (3, 4, A, A, [A]),  # too short a proof
        (
            3,
            4,
            node_hash(D, node_hash(C, A)),
            node_hash(D, node_hash(C, node_hash(A, B))),
            [A, B, C, D],
        ),  # too long a one
    ],
)
def test_no_log_is_the_beginning_of_another_by_a_proof_of_the_wrong_length(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]
) -> None:
    assert not is_consistent(old, new, old_root, new_root, proof)


def test_a_proof_in_a_large_log_reads_a_few_tiles() -> None:
    size = 70_000
    shelf = Shelf(numbered(size))
    shelf.read = 0
    proof = inclusion_proof(12_345, size, shelf)
    assert shelf.read <= 5 * 256
    assert verify_inclusion(shelf.rows[0][12_345], index=12_345, size=size, proof=proof, root=shelf.frontier.root)
    shelf.read = 0
    assert frontier_of(size, shelf) == shelf.frontier
    assert shelf.read <= 3 * 256


def test_complete_subtrees_are_reported_once_in_the_batch_that_completes_them() -> None:
    hashes = numbered(256 * 256 + 1)
    before = Frontier().extend(hashes[:-2]).frontier
    growth = before.extend(hashes[-2:])
    assert [(node.level, node.index) for node in growth.nodes] == [(1, 255), (2, 0)]
    assert growth.nodes[0].hash == by_the_definition(hashes[255 * 256 : 256 * 256])
    assert growth.nodes[1].hash == by_the_definition(hashes[:-1])


def test_leaves_and_nodes_hash_apart() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
    assert Frontier().root == EMPTY_ROOT


def test_what_is_missing_or_impossible_is_refused() -> None:
    shelf = Shelf(numbered(300))
    with pytest.raises(AuditError, match="leaf 300: the tree has 300 leaves"):
        inclusion_proof(300, 300, shelf)
    with pytest.raises(AuditError, match="sizes 5 and 4"):
        consistency_proof(5, 4, shelf)
    for first, stop in ((-1, 2), (5, 5), (299, 301)):
        with pytest.raises(AuditError, match=f"leaves {first} to {stop}: the tree has 300 leaves"):
            hashes_around(first, stop, 300, shelf)
    del shelf.rows[1]
    with pytest.raises(AuditError, match="of level 1: the log keeps 0"):
        inclusion_proof(299, 300, shelf)
    with pytest.raises(AuditError, match="3 leaves with 1 subtrees"):
        Frontier(3, (b"\0" * 32,))
    with pytest.raises(AuditError, match="a tree of -1 leaves"):
        Frontier(-1, (b"\0" * 32,))
