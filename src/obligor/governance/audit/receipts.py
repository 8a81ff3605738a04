"""A receipt: one act of the log, with the proof that the log holds it, for somebody who has nothing but a public key.

It holds the leaf, its index, the siblings that lead to the root, and a signed checkpoint with that root. Where the record and
its salt are in it too, it also shows what the leaf commits to; without them it tells nothing private. ``verify.py`` of a
bundle checks a receipt without any of this code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from obligor.core.canonical import readable_json
from obligor.core.checkpoints import Note, parse_checkpoint, parse_note
from obligor.core.errors import AuditError
from obligor.core.leaves import is_committed, parse_leaf
from obligor.core.merkle import HASH_BYTES, inclusion_proof, leaf_hash, verify_inclusion
from obligor.core.strict_json import read_strict_json

if TYPE_CHECKING:
    from obligor.core.merkle import Stored
    from obligor.governance.audit.source import Signatures

SCHEMA: Final = "obligor/receipt/1"
_MOST_BYTES: Final = 4 << 20
_MOST_PROOF: Final = 64
_KEYS: Final = frozenset(("schema", "leaf", "index", "proof", "checkpoint"))
_PRIVATE_KEYS: Final = frozenset(("record", "salt"))


@dataclass(frozen=True, slots=True)
class Receipt:
    """A leaf, where it stands, and how that leads to a signed root; with the record where it is shown."""

    leaf: bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: Note
    record: bytes | None = None
    salt: bytes | None = None

    def to_plain(self) -> dict[str, Any]:
        """Give plain data."""
        said: dict[str, Any] = {
            "schema": SCHEMA,
            "index": self.index,
            "leaf": self.leaf.decode(),
            "proof": [part.hex() for part in self.proof],
            "checkpoint": self.checkpoint.encode().decode(),
        }
        if self.record is not None and self.salt is not None:
            said |= {"record": self.record.decode(), "salt": self.salt.hex()}
        return said

    def encode(self) -> bytes:
        """Write it as a file."""
        return readable_json(self.to_plain())


def make_receipt(
    leaf: bytes,
    *,
    index: int,
    checkpoint: Note,
    stored: Stored,
    record: bytes | None = None,
    salt: bytes | None = None,
) -> Receipt:
    """Prove a leaf in the tree of a signed checkpoint, from stored hashes.

    Raises
    ------
    AuditError
        Where the checkpoint is of a tree that does not reach the leaf, or a stored hash is missing.
    """
    size = parse_checkpoint(checkpoint.text).size
    return Receipt(leaf, index, inclusion_proof(index, size, stored), checkpoint, record, salt)


def check_receipt(receipt: Receipt, signatures: Signatures) -> tuple[str, ...]:
    """Tell what is wrong with a receipt; nothing where it holds."""
    wrong = []
    try:
        leaf = parse_leaf(receipt.leaf)
        head = parse_checkpoint(receipt.checkpoint.text)
    except AuditError as error:
        return (str(error),)
    if not signatures.signed_note(receipt.checkpoint):
        wrong.append("checkpoint: is not signed by this key")
    if not verify_inclusion(
        leaf_hash(receipt.leaf), index=receipt.index, size=head.size, proof=receipt.proof, root=head.root
    ):
        wrong.append(f"proof: does not lead from this leaf at {receipt.index} to the root of {head.size} leaves")
    shown = receipt.record is not None and receipt.salt is not None
    if shown and not is_committed(leaf, record=receipt.record or b"", salt=receipt.salt or b""):
        wrong.append("record: is not what the leaf commits to")
    return tuple(wrong)


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt.

    Raises
    ------
    AuditError
        Where it is not one.
    """
    if len(data) > _MOST_BYTES:
        raise AuditError(f"a receipt: {len(data)} bytes are more than {_MOST_BYTES}")
    said = read_strict_json(data, what="a receipt", error=AuditError)
    if not isinstance(said, dict) or said.keys() not in (_KEYS, _KEYS | _PRIVATE_KEYS) or said["schema"] != SCHEMA:
        raise AuditError(
            f"a receipt: wanted an object of {', '.join(sorted(_KEYS))}, perhaps with a record and its salt"
        )
    texts = [said[name] for name in sorted(said.keys() - {"index", "proof"})]
    if type(said["index"]) is not int or not all(isinstance(text, str) for text in texts):
        raise AuditError("a receipt: wanted a whole number as index, and texts")
    try:
        return Receipt(
            leaf=said["leaf"].encode(),
            index=said["index"],
            proof=_proof(said["proof"]),
            checkpoint=parse_note(said["checkpoint"].encode()),
            record=said["record"].encode() if "record" in said else None,
            salt=bytes.fromhex(said["salt"]) if "salt" in said else None,
        )
    except ValueError:  # of hexadecimal, or half of a character
        raise AuditError("a receipt: holds text that is not hexadecimal or not UTF-8") from None


def _proof(parts: object) -> tuple[bytes, ...]:
    if not isinstance(parts, list) or len(parts) > _MOST_PROOF or not all(isinstance(part, str) for part in parts):
        raise AuditError(f"a receipt's proof: wanted a list of at most {_MOST_PROOF} hashes")
    proof = tuple(bytes.fromhex(part) for part in parts)
    if any(len(part) != HASH_BYTES for part in proof):
        raise AuditError("a receipt's proof: wanted hashes of 32 bytes")
    return proof
