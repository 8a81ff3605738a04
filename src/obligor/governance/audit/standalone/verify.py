"""Verify a bundle or a receipt of an Obligor audit log, without Obligor.

    python verify.py BUNDLE.zip [--key NAME+ID+KEY]
    python verify.py receipt.json --key NAME+ID+KEY

It needs Python 3.11 or later and the package ``cryptography``, and no network. It writes nothing. Exit 0: everything holds.
Exit 1: something is wrong, and each line that begins with WRONG names what. Exit 2: it was called in a wrong way.

What it checks of a bundle: that every file is the one the manifest names; that the leaves of the period, with the hashes beside
them, give the root that the log's key signed; that the period lacks no leaf at its ends; that times never decrease; that
every record is what its leaf commits to; that every card, policy and profile that a decision names is there; that the log's key
signed every release; that every other checkpoint, of the log and of its anchors, is a beginning of the same log; and that the
export itself is in the log.

The key comes with the bundle. Whoever made the bundle could have made the key: compare it with the one you were given before.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BUNDLE, RECEIPT, LEAF = "obligor/bundle/1", "obligor/receipt/1", "obligor/leaf/1"
LINES = ("leaves.jsonl", "records.jsonl")
FIXED = ("README.txt", "checkpoint.txt", "export.json", "key.txt", "tree.json", "verify.py", *LINES)
NAMES = re.compile(r"artefacts/[0-9a-f]{64}\.json|(checkpoints|anchors)/[0-9]{1,8}\.json", re.ASCII)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
HEX32, SALT = re.compile(r"[0-9a-f]{64}", re.ASCII), re.compile(r"[0-9a-f]{32}", re.ASCII)
LEAF_KEYS = {"at", "by", "commitment", "kind", "schema", "subject"}
PINS = ("card_sha256", "policy_sha256", "profile_sha256")
SIGNED = ("at", "by", "number", "schema", *PINS)
MIB = 1 << 20
MOST_FILES, MOST_SMALL, MOST_LINE, MOST_RATIO, MOST_PROOF = 200_000, 64 * MIB, 8 * MIB, 250, 64
MOST_LARGE = 256 << 30  # bytes of leaves.jsonl and records.jsonl, which are read line by line


class WrongError(Exception):
    """Something that does not hold: its kind, in a word, and a sentence."""

    def __init__(self, kind: str, message: str, index: int | None = None) -> None:
        super().__init__(message)
        where = "" if index is None else f" at leaf {index}"
        self.line = f"WRONG  {kind}{where}: {message}"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def require(holds: object, kind: str, message: str, index: int | None = None) -> None:
    if not holds:
        raise WrongError(kind, message, index)


# Text: JSON that says one thing only, base64 and hexadecimal in their one form


def read_json(data: bytes, what: str) -> Any:
    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        require(len({name for name, _ in found}) == len(found), "form", f"{what}: a key stands twice")
        return dict(found)

    def constant(_: str) -> None:
        raise WrongError("form", f"{what}: holds a number that JSON does not know")

    try:
        return json.loads(data.decode(), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError):
        raise WrongError("form", f"{what}: is not JSON") from None


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def read_base64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    require(data and base64.b64encode(data).decode() == text, "form", f"{what}: is not base64 in its one form")
    return data


def read_hash(text: Any, what: str) -> bytes:
    require(isinstance(text, str) and HEX32.fullmatch(text), "form", f"{what}: is not a hash")
    return bytes.fromhex(text)


def read_hashes(said: Any, what: str) -> list[bytes]:
    require(isinstance(said, list) and len(said) <= MOST_PROOF, "form", f"{what}: is not a short list of hashes")
    return [read_hash(each, what) for each in said]


def read_count(said: Any, what: str) -> int:
    require(type(said) is int and 0 <= said < 1 << 63, "form", f"{what}: is not a whole number")
    return int(said)


# Keys, notes and checkpoints (C2SP signed-note and tlog-checkpoint)


class Key:
    """The public key of a log, with the log's name."""

    def __init__(self, text: str) -> None:
        found = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text.strip())
        if not found:
            raise WrongError("key", "wanted a key of the form name+id+base64")
        self.text, self.name, data = text.strip(), found[1], read_base64(found[3], "the key")
        self.id = sha256(self.name.encode() + b"\n" + data)[:4]
        require(data[:1] == b"\x01" and len(data) == 33, "key", "the key is not of the type Ed25519")
        require(self.id.hex() == found[2], "key", "the id of the key is not its own")
        self.public = Ed25519PublicKey.from_public_bytes(data[1:])


def read_checkpoint(note: str, key: Key, what: str) -> tuple[int, bytes]:
    """Give the size and the root of a checkpoint that the key signed."""
    text, gap, lines = note.rpartition("\n\n")
    text += "\n"
    require(gap and lines.endswith("\n"), "checkpoint-form", f"{what}: is not a signed note")
    signed = 0
    for line in lines[:-1].split("\n"):
        found = re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)", line)
        if not found:
            raise WrongError("checkpoint-form", f"{what}: a line under its text is not a signature")
        data = read_base64(found[2], what)
        if found[1] == key.name and data[:4] == key.id:
            try:
                key.public.verify(data[4:], text.encode())
            except InvalidSignature:
                raise WrongError("checkpoint-signature", f"{what}: its signature is not true") from None
            signed += 1
    require(signed, "checkpoint-signature", f"{what}: is not signed by the key {key.name}")
    said = text.split("\n")
    require(len(said) > 3 and said[0] == key.name, "checkpoint-form", f"{what}: is of another log")
    require(
        re.fullmatch("0|[1-9][0-9]{0,18}", said[1], re.ASCII), "checkpoint-form", f"{what}: its size is not a number"
    )
    root = read_base64(said[2], what)
    require(len(root) == 32, "checkpoint-form", f"{what}: its root is not a hash")
    return int(said[1]), root


# The tree (RFC 6962; the checks of proofs are those of RFC 9162, section 2.1)


def leaf_hash(body: bytes) -> bytes:
    return sha256(b"\x00" + body)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def split(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


Given = dict[tuple[int, int], bytes]


def tree_root(start: int, stop: int, given: Given, first: int, hashes: list[bytes]) -> bytes:
    """Give the hash of a range of leaves, from the hashes given for ranges and those of the leaves from ``first`` on."""
    if (start, stop) in given:
        return given[start, stop]
    if stop - start == 1:
        require(0 <= start - first < len(hashes), "leaf-missing", "neither the leaf nor a hash over it is there", start)
        return hashes[start - first]
    middle = start + split(stop - start)
    return node_hash(tree_root(start, middle, given, first, hashes), tree_root(middle, stop, given, first, hashes))


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """Give the root to which a proof leads from a leaf; None where the proof is not one of this index and size."""
    if not 0 <= index < size:
        return None
    here, last, value = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return None
        if here & 1 or here == last:
            value = node_hash(part, value)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            value = node_hash(value, part)
        here, last = here >> 1, last >> 1
    return value if last == 0 else None


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """Tell whether a proof shows that the log of the old size is the beginning of the new one."""
    if old in (0, new):
        return not proof and old_root == (new_root if old == new else sha256(b""))
    parts = [old_root, *proof] if old & (old - 1) == 0 else proof
    if not parts or old > new:
        return False
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    was = now = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            was, now = node_hash(part, was), node_hash(part, now)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            now = node_hash(now, part)
        here, last = here >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


# Leaves and records


Leaf = dict[str, str]


def read_leaf(body: bytes, index: int) -> Leaf:
    leaf = read_json(body, f"leaf {index}")
    shaped = isinstance(leaf, dict) and leaf.keys() == LEAF_KEYS and all(isinstance(it, str) for it in leaf.values())
    require(shaped and leaf["schema"] == LEAF, "leaf-form", "is not a leaf", index)
    require(canonical(leaf) == body, "leaf-form", "is not in canonical form", index)
    require(TIME.fullmatch(leaf["at"]), "leaf-form", "its time is not one", index)
    return {str(name): str(value) for name, value in leaf.items()}


def check_record(leaf: Leaf, record: Any, salt: Any, index: int) -> Any:
    """Give what a record says, where it is what the leaf commits to."""
    texts = isinstance(record, str) and isinstance(salt, str) and SALT.fullmatch(salt)
    require(texts, "record-form", "its record and salt are not there as texts", index)
    data = record.encode()
    own = hmac.new(bytes.fromhex(salt), data, hashlib.sha256).hexdigest()
    committed = hmac.compare_digest(own, leaf["commitment"])
    require(committed, "record-changed", "the record, or its salt, is not what the leaf commits to", index)
    said = read_json(data, f"the record of leaf {index}")
    if leaf["kind"] == "decision":
        told = isinstance(said, dict) and said.get("decision_id") == leaf["subject"]
        require(told, "record-form", "the record tells of another decision", index)
    return said


def check_receipt(said: Any, key: Key, what: str = "the receipt") -> tuple[Leaf, int, tuple[int, bytes]]:
    """Check a receipt, and give its leaf, the index, and the size and the root of the tree."""
    require(isinstance(said, dict) and said.get("schema") == RECEIPT, "form", f"{what}: is not a receipt")
    known = {"schema", "leaf", "index", "proof", "checkpoint"}
    require(said.keys() in (known, known | {"record", "salt"}), "form", f"{what}: lacks something, or holds too much")
    require(isinstance(said["leaf"], str) and isinstance(said["checkpoint"], str), "form", f"{what}: wanted texts")
    index, body = read_count(said["index"], what), said["leaf"].encode()
    leaf = read_leaf(body, index)
    size, root = read_checkpoint(said["checkpoint"], key, what)
    found = root_by_inclusion(leaf_hash(body), index, size, read_hashes(said["proof"], what))
    require(found == root, "proof", f"{what}: does not lead to the root of {size} leaves", index)
    if "record" in said:
        check_record(leaf, said["record"], said["salt"], index)
    return leaf, index, (size, root)


# The bundle


class Bundle:
    """The files of a bundle: read from the zip, never written to a disk, and never more of one than it says it has."""

    def __init__(self, path: str) -> None:
        self.zip = zipfile.ZipFile(path)
        entries = self.zip.infolist()
        require(len(entries) <= MOST_FILES, "zip", f"more than {MOST_FILES} files")
        self.entries = {entry.filename: entry for entry in entries}
        require(len(self.entries) == len(entries), "zip", "a file stands twice")
        for name, entry in self.entries.items():
            require(
                name == "manifest.json" or name in FIXED or NAMES.fullmatch(name), "zip", "holds a file of another name"
            )
            bomb = entry.file_size > (MOST_LARGE if name in LINES else MOST_SMALL)
            bomb |= entry.file_size > MIB and entry.file_size > MOST_RATIO * entry.compress_size
            require(not bomb, "zip", f"{name}: unpacks to more than a bundle may hold")
        missing = [name for name in (*FIXED, "manifest.json") if name not in self.entries]
        require(not missing, "file-missing", ", ".join(missing))

    def read(self, name: str) -> bytes:
        with self.zip.open(name) as file:
            data = file.read(MOST_SMALL + 1)
        require(len(data) <= MOST_SMALL, "zip", f"{name}: is larger than a bundle may hold")
        return data

    def text(self, name: str) -> str:
        try:
            return self.read(name).decode()
        except UnicodeDecodeError:
            raise WrongError("form", f"{name}: is not UTF-8") from None

    def json(self, name: str) -> Any:
        return read_json(self.read(name), name)

    def lines(self, name: str) -> Iterator[bytes]:
        with self.zip.open(name) as file:
            while line := file.readline(MOST_LINE):
                require(line.endswith(b"\n"), "form", f"{name}: a line is too long, or has no end")
                yield line[:-1]

    def hash(self, name: str) -> str:
        found = hashlib.sha256()
        with self.zip.open(name) as file:
            while block := file.read(MIB):
                found.update(block)
        return found.hexdigest()


def check_bundle(path: str, key_text: str | None = None) -> list[str]:
    """Check a bundle, and give what it shows, in lines."""
    bundle = Bundle(path)
    manifest = read_manifest(bundle)
    key = Key(bundle.text("key.txt") if key_text is None else key_text)
    same = bundle.text("key.txt").strip() == key.text
    require(same, "key", "the bundle comes with another key than the one given")
    size, root = read_checkpoint(bundle.text("checkpoint.txt"), key, "checkpoint.txt")
    first, hashes, period = check_leaves(bundle, manifest, size)
    pinned, set_back = check_records(bundle, key, first, period)
    given = read_tree(bundle, size, first, first + len(hashes))
    whole = hashes and tree_root(0, size, given, first, hashes) == root
    require(whole, "root", f"the leaves do not give the root that was signed for {size} leaves")
    check_artefacts(bundle, pinned)
    others = check_checkpoints(bundle, key, size, root)
    receipt = bundle.json("export.json")
    leaf, index, proven = check_receipt(receipt, key, "export.json")
    recorded = leaf["kind"] == "export" and proven == (size, root)
    require(recorded, "export", "the export is not recorded in the log that it shows", index)
    export = read_json(receipt.get("record", "null").encode(), "the record of the export")
    same = isinstance(export, dict) and all(export.get(name) == manifest[name] for name in ("from", "to"))
    require(same, "export", "what is recorded is an export of another period", index)
    told = [
        f"log {key.name}: {size} leaves, root {root.hex()}",
        f"{len(period)} acts from {manifest['from']} to {manifest['to']}, {len(pinned)} artefacts, {others} other checkpoints",
        *set_back,
    ]
    if key_text is None:
        told.append(f"note   the key comes with the bundle; compare it with the one you know: {key.text}")
    return told


def read_manifest(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.json("manifest.json")
    shaped = isinstance(manifest, dict) and manifest.keys() == {"schema", "from", "to", "first", "files"}
    require(shaped and manifest["schema"] == BUNDLE, "form", "manifest.json: is not that of a bundle")
    times = [manifest["from"], manifest["to"]]
    require(all(isinstance(at, str) and TIME.fullmatch(at) for at in times), "form", "manifest.json: lacks the period")
    files = manifest["files"]
    require(isinstance(files, dict), "form", "manifest.json: lists no files")
    present = bundle.entries.keys() - {"manifest.json"}
    require(files.keys() <= present, "file-missing", ", ".join(sorted(files.keys() - present)))
    require(present <= files.keys(), "file-extra", ", ".join(sorted(present - files.keys())))
    for name, wanted in files.items():
        require(bundle.hash(name) == wanted, "file-changed", f"{name}: is not the file that the manifest names")
    return dict(manifest)


def check_leaves(bundle: Bundle, manifest: dict[str, Any], size: int) -> tuple[int, list[bytes], range]:
    """Give the index of the first leaf, the hashes of all, and the indices of the period, without those at its sides."""
    first, since, until = read_count(manifest["first"], "manifest.json"), manifest["from"], manifest["to"]
    hashes: list[bytes] = []
    earliest = latest = ""
    before = inside = 0
    for index, body in enumerate(bundle.lines("leaves.jsonl"), start=first):
        leaf = read_leaf(body, index)
        require(leaf["at"] >= latest, "clock", "is older than the leaf before it", index)
        latest, earliest = leaf["at"], earliest or leaf["at"]
        hashes.append(leaf_hash(body))
        before += latest < since
        inside += since <= latest < until
    stop = first + len(hashes)
    require(hashes and stop <= size, "leaf-beyond", f"holds leaves up to {stop} of a log of {size}")
    whole = (first == 0 or earliest < since) and (stop == size or latest >= until)
    require(whole, "period", "a leaf of the period may be missing: those at its sides are not there", first)
    return first, hashes, range(first + before, first + before + inside)


def read_tree(bundle: Bundle, size: int, first: int, end: int) -> Given:
    """Give the hashes of ranges outside the leaves that are there: one over them would hide what they are."""
    said: Any = bundle.json("tree.json")
    given: Given = {}
    require(isinstance(said, list) and len(said) <= 4 * MOST_PROOF, "form", "tree.json: is not a short list")
    for each in said:
        require(isinstance(each, list) and len(each) == 3, "form", "tree.json: wanted start, stop and hash")
        start, stop = (read_count(at, "tree.json") for at in each[:2])
        outside = start < stop <= size and (stop <= first or start >= end)
        require(outside, "form", "tree.json: a range lies over the leaves that are there, or outside the tree")
        require((start, stop) not in given, "form", "tree.json: a range stands twice")
        given[start, stop] = read_hash(each[2], "tree.json")
    return given


def check_records(bundle: Bundle, key: Key, first: int, period: range) -> tuple[dict[str, int], list[str]]:
    """Check the record of every leaf of the period; give the artefacts that they name, each with its first leaf, and notes."""
    pinned: dict[str, int] = {}
    notes = []
    lines = bundle.lines("records.jsonl")
    for index, body in enumerate(bundle.lines("leaves.jsonl"), start=first):
        if index not in period:
            continue
        leaf = read_leaf(body, index)
        line = next(lines, None)
        if line is None:
            raise WrongError("record-missing", "its record is not there", index)
        said = read_json(line, "records.jsonl")
        shaped = isinstance(said, dict) and said.keys() == {"index", "record", "salt"}
        placed = shaped and read_count(said["index"], "records.jsonl") == index
        require(placed, "record-missing", "its record is not there, or not in its place", index)
        record = check_record(leaf, said["record"], said["salt"], index)
        if leaf["kind"] == "restore.acknowledged":
            notes.append(
                f"note   leaf {index}: {leaf['by']} acknowledged that the log was set back to {record['size']} leaves"
            )
        if leaf["kind"] == "release":
            check_signature(record, key, index)
        pins = record.get("pins", record) if isinstance(record, dict) else {}
        for name in PINS if leaf["kind"] in ("decision", "release") else ():
            sha = pins.get(name) if isinstance(pins, dict) else None
            pinned.setdefault(read_hash(sha, f"the {name} of leaf {index}").hex(), index)
    require(next(lines, None) is None, "record-stray", "there are more records than leaves of the period")
    return pinned, notes


def check_signature(release: dict[str, Any], key: Key, index: int) -> None:
    said = b"\0obligor statement\0release\0" + canonical({name: release[name] for name in SIGNED})
    try:
        key.public.verify(bytes.fromhex(release["signature"]), said)
    except (InvalidSignature, ValueError):
        raise WrongError("release-signature", "its signature is not true", index) from None


def check_artefacts(bundle: Bundle, pinned: dict[str, int]) -> None:
    for sha, index in pinned.items():
        name = f"artefacts/{sha}.json"
        require(name in bundle.entries, "artefact-missing", f"{name}, which this act names", index)
        require(bundle.hash(name) == sha, "artefact-changed", f"{name}: its bytes are others than its hash says", index)


def check_checkpoints(bundle: Bundle, key: Key, size: int, root: bytes) -> int:
    """Check that every other checkpoint is a beginning of the same log, and give how many there are."""
    count = 0
    for name in bundle.entries:
        if not name.startswith(("checkpoints/", "anchors/")):
            continue
        said = bundle.json(name)
        shaped = isinstance(said, dict) and said.keys() == {"place", "note", "proof"} and isinstance(said["note"], str)
        require(shaped, "form", f"{name}: is not a checkpoint with its proof")
        old, old_root = read_checkpoint(said["note"], key, name)
        kind = "rewritten" if name.startswith("anchors/") else "checkpoint-root"
        require(old <= size, "rolled-back", f"{name}: tells of {old} leaves; the bundle's log has {size}", size)
        proof = read_hashes(said["proof"], name)
        same = is_consistent(old, size, old_root, root, proof)
        require(same, kind, f"{name}: its log of {old} leaves is not the beginning of this one")
        count += 1
    return count


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Verify a bundle or a receipt of an Obligor audit log.")
    parser.add_argument("file", help="a bundle (.zip) or a receipt (.json)")
    parser.add_argument("--key", help="the public key of the log, name+id+base64, as you were given it")
    asked = parser.parse_args(arguments)
    try:
        if zipfile.is_zipfile(asked.file):
            told = check_bundle(asked.file, asked.key)
        else:
            with Path(asked.file).open("rb") as file:
                data = file.read(MOST_LINE + 1)
            if asked.key is None:
                parser.error("this is no bundle, and a receipt needs --key")
            require(len(data) <= MOST_LINE, "form", "the receipt is too large")
            leaf, index, (size, _) = check_receipt(read_json(data, "the receipt"), Key(asked.key))
            told = [f"leaf {index} of {size}: {leaf['kind']} {leaf['subject']} at {leaf['at']} by {leaf['by']}"]
    except WrongError as wrong:
        print(wrong.line)
        return 1
    except Exception as error:  # noqa: BLE001  whatever an edited file makes of it, it does not hold
        print(f"WRONG  unreadable: {type(error).__name__}: {error}")
        return 1
    print("\n".join([*told, "holds"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
