"""A log that was set back, taken note of: what an anchor knows and the log no longer has, acknowledged by two people.

An older backup lacks the newest acts; an anchor shows that. One person proposes to go on without them, another confirms, and
both are acts of the log that goes on. They name each lost tree by its size and root as an anchor keeps it, and the tree that
was there. Two acts can be written by whoever holds the database and the signing key: so verifying tells who acknowledged what,
and stays red until whoever verifies says that they know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from obligor.core.errors import AuditError
from obligor.core.leaves import is_committed, parse_leaf
from obligor.core.people import are_one_name
from obligor.core.strict_json import read_strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obligor.governance.audit.source import StoredLeaf

SCHEMA: Final = "obligor/restore/1"
PROPOSED: Final = "restore.proposed"
ACKNOWLEDGED: Final = "restore.acknowledged"
KINDS: Final = (PROPOSED, ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class Tree:
    """The log at a size: its number of leaves, and their root."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class LostTree:
    """What an anchor keeps, and the log is not, or no longer."""

    anchor: str
    tree: Tree


@dataclass(frozen=True, slots=True)
class Restore:
    """One of the two acts by which people take note that a log was set back."""

    index: int
    """Of its leaf."""
    restore_id: str
    kind: str
    lost: tuple[LostTree, ...]
    present: Tree
    """The log when it was proposed: of the lost trees, what is below its size is still there."""
    because: str
    proposed_by: str
    by: str

    @property
    def names(self) -> frozenset[Tree]:
        """The lost trees, whichever anchors keep them."""
        return frozenset(it.tree for it in self.lost)


def read_restores(leaves: Iterable[StoredLeaf]) -> tuple[Restore, ...]:
    """Read acts of these kinds, by index; one whose leaf does not commit to its record is none."""
    return tuple(found for leaf in leaves if (found := _read(leaf)) is not None)


def acknowledgements(restores: Iterable[Restore]) -> tuple[Restore, ...]:
    """Give those that were confirmed by another person than who proposed the very same before."""
    proposed: dict[str, Restore] = {}
    found = []
    for each in restores:
        before = proposed.get(each.restore_id)
        if each.kind == PROPOSED:
            proposed.setdefault(each.restore_id, each)
        elif before is not None and _confirms(each, before):
            found.append(each)
    return tuple(found)


def _confirms(each: Restore, before: Restore) -> bool:
    return (
        (each.lost, each.present, each.proposed_by) == (before.lost, before.present, before.by)
        and not are_one_name(each.by, before.by)
        and each.index > before.index
    )  # fmt: skip


def _read(stored: StoredLeaf) -> Restore | None:
    try:
        leaf = parse_leaf(stored.body)
        said: Any = read_strict_json(stored.record or b"", what="a record", error=AuditError)
        if leaf.kind not in KINDS or not is_committed(leaf, record=stored.record or b"", salt=stored.salt or b""):
            return None
        lost = tuple(LostTree(str(it["anchor"]), _tree(it)) for it in said["lost"])
        return Restore(
            stored.index,
            str(said["restore_id"]),
            leaf.kind,
            lost,
            _tree(said),
            *(str(said[name]) for name in ("because", "proposed_by", "by")),
        )
    except (AuditError, AttributeError, KeyError, TypeError, ValueError):
        return None  # what cannot be read is found where the log is verified


def _tree(said: dict[str, Any]) -> Tree:
    return Tree(int(said["size"]), bytes.fromhex(said["root"]))
