"""A bundle for a regulator: the acts of a period in one zip, with all that is needed to check them offline.

The leaves of the period stand in it whole, with their records, and one leaf more on either side, whose times show that none of
the period is missing. Of every other leaf only hashes of ranges are in it, about two for each binary digit of the log's size:
with them the leaves give the root, and the root is signed. Other checkpoints come with a proof that they are beginnings of the
same log. The verifier, ``standalone/verify.py``, goes into each bundle; it is also run on every bundle before it is handed out.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Protocol

from obligor.core.canonical import canonical_json, readable_json
from obligor.core.checkpoints import Checkpoint, Note, VerifierKey, parse_checkpoint, parse_note
from obligor.core.errors import AuditError, IntegrityError, InvalidInputError
from obligor.core.leaves import parse_leaf, time_text
from obligor.core.merkle import consistency_proof, hashes_around, root_of
from obligor.core.strict_json import read_strict_json
from obligor.files import whole_file
from obligor.governance.audit.anchored import AnchoredNote
from obligor.governance.audit.receipts import make_receipt
from obligor.governance.audit.standalone import verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from obligor.governance.audit.source import LogSource, StoredLeaf
    from obligor.progress import Progress

SCHEMA: Final = "obligor/bundle/1"
_MOST_CHECKPOINTS: Final = 200
_PINS: Final = ("card_sha256", "policy_sha256", "profile_sha256")
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can tell: equal content gives equal bytes
_LEVEL: Final = 6
_README: Final = """\
The acts of a credit decision service from {since} to {until}, as its audit log holds them.

To check them, on a machine without network:

    python -m venv check && check/bin/pip install cryptography
    unzip -p {name} verify.py > verify.py
    check/bin/python -I verify.py {name} --key NAME+ID+KEY

The key is the public key of the log that you were given by another way; key.txt holds the one that made this bundle.
Better still, use a verify.py that you were given by another way: whoever changes a bundle can change what is in it.

leaves.jsonl      the public leaf of each act, one a line, from number {first} on; one more on either side of the period
records.jsonl     the private record of each act of the period, with the salt that its leaf commits to it by
artefacts/        the cards, policies and profiles that the acts name, by SHA-256
tree.json         hashes of all other leaves, by ranges
checkpoint.txt    the signed head of the whole log, of {size} leaves
checkpoints/, anchors/   earlier heads, from the store and from places outside it, each with a proof that this log continues it
export.json       the receipt of this export, which is an act itself
manifest.json     the SHA-256 of every file
"""


class Signer(Protocol):
    """Signs with the deployment's key."""

    @property
    def verifier(self) -> VerifierKey:
        """The public key."""
        ...

    def sign_note(self, text: str) -> Note:
        """Sign a text of whole lines."""
        ...


@dataclass(frozen=True, slots=True)
class Period:
    """From a time (closed) to another (open), both UTC."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if not self.since < self.until:
            raise InvalidInputError(f"period: from {time_text(self.since)} to {time_text(self.until)} has no length")


@dataclass(frozen=True, slots=True)
class BundleSummary:
    """What a bundle holds."""

    path: Path
    acts: int
    size: int
    told: tuple[str, ...] = field(repr=False)

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {"bundle": str(self.path), "acts": self.acts, "size": self.size}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [f"{self.path}: {self.acts:,} acts of a log of {self.size:,} leaves; checked", *self.told]


def signed_head(source: LogSource, signer: Signer) -> Note:
    """Sign the tree as it stands."""
    size = source.head()
    return signer.sign_note(Checkpoint(signer.verifier.name, size, root_of(size, source.hashes)).text())


def leaves_of(source: LogSource, period: Period) -> range:
    """Find the leaves of a period by their times, which never decrease along the log."""
    return range(_first_at(source, period.since), _first_at(source, period.until))


def write_bundle(
    path: Path,
    *,
    source: LogSource,
    period: Period,
    export_index: int,
    signer: Signer,
    anchors: Sequence[AnchoredNote] = (),
    progress: Progress,
) -> BundleSummary:
    """Write the bundle of a period, check it as its reader will, and only then give it its name.

    Raises
    ------
    IntegrityError
        Where the log does not hold: a bundle of it would be found wrong.
    """
    with whole_file(path) as partial:
        try:
            bundle = _Bundle(source, period, signer)
            with progress.step("writing the bundle"), zipfile.ZipFile(partial, "w") as file:
                bundle.write(file, name=path.name, export_index=export_index, anchors=anchors)
            with progress.step("checking the bundle"):
                told = verify.check_bundle(str(partial))
        except (AuditError, verify.WrongError) as error:
            said = error.line if isinstance(error, verify.WrongError) else error
            raise IntegrityError(
                f"a bundle of this log does not hold: {said}",
                hint="obligor audit verify tells everything that is wrong",
            ) from error
    return BundleSummary(path, len(bundle.acts), bundle.size, tuple(told))


class _Bundle:
    """What goes into a bundle, and the hashes of the files that are in it already."""

    def __init__(self, source: LogSource, period: Period, signer: Signer) -> None:
        self.size = source.head()
        self.acts = leaves_of(source, period)
        self._shown = range(max(self.acts.start - 1, 0), min(self.acts.stop + 1, self.size))
        self._source, self._period, self._signer = source, period, signer
        self._head = signed_head(source, signer)
        self._hashes: dict[str, str] = {}
        self._pinned: set[str] = set()

    def write(self, file: zipfile.ZipFile, *, name: str, export_index: int, anchors: Sequence[AnchoredNote]) -> None:
        """Write every file of the bundle, the manifest last."""
        said = {"since": time_text(self._period.since), "until": time_text(self._period.until)}
        readme = _README.format(name=name, first=self._shown.start, size=self.size, **said)
        self._add(file, "README.txt", [readme.encode()])
        self._add(file, "verify.py", [files(verify.__package__).joinpath("verify.py").read_bytes()])
        self._add(file, "key.txt", [f"{self._signer.verifier.text()}\n".encode()])
        self._add(file, "checkpoint.txt", [self._head.encode()])
        self._add(file, "leaves.jsonl", (leaf.body + b"\n" for leaf in self._leaves(self._shown)))
        self._add(file, "records.jsonl", self._records())
        self._add(file, "tree.json", [self._tree()])
        self._add(file, "export.json", [self._receipt(export_index)])
        self._add_artefacts(file)
        stored = (
            AnchoredNote("the store", each.note) for each in self._source.checkpoints() if each.size > self.acts.start
        )
        self._add_checkpoints(file, "checkpoints", _thinned(list(stored)))
        self._add_checkpoints(file, "anchors", _thinned(anchors))
        manifest = {"schema": SCHEMA, "from": said["since"], "to": said["until"], "first": self._shown.start}
        self._add(file, "manifest.json", [readable_json({**manifest, "files": dict(self._hashes)})])

    def _add(self, file: zipfile.ZipFile, name: str, parts: Iterable[bytes]) -> None:
        entry = zipfile.ZipInfo(name, _LONG_AGO)
        entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
        found = hashlib.sha256()
        with file.open(entry, "w", force_zip64=True) as out:
            for part in parts:
                found.update(part)
                out.write(part)
        self._hashes[name] = found.hexdigest()

    def _leaves(self, indices: range) -> Iterator[StoredLeaf]:
        return self._source.leaves(indices.start, indices.stop)

    def _records(self) -> Iterator[bytes]:
        for leaf in self._leaves(self.acts):
            if leaf.record is None or leaf.salt is None:
                raise AuditError(f"leaf {leaf.index}: its record is not there")
            self._pinned |= _pins(leaf)
            said = {"index": leaf.index, "record": leaf.record.decode(), "salt": leaf.salt.hex()}
            yield canonical_json(said) + b"\n"

    def _tree(self) -> bytes:
        around = hashes_around(self._shown.start, self._shown.stop, self.size, self._source.hashes)
        return readable_json([[each.start, each.stop, each.hash.hex()] for each in around])

    def _receipt(self, index: int) -> bytes:
        leaf = next(self._leaves(range(index, index + 1)))
        receipt = make_receipt(
            leaf.body,
            index=index,
            checkpoint=self._head,
            stored=self._source.hashes,
            record=leaf.record,
            salt=leaf.salt,
        )
        return receipt.encode()

    def _add_artefacts(self, file: zipfile.ZipFile) -> None:
        for artefact in self._source.artefacts():
            if artefact.sha256 in self._pinned:
                said = read_strict_json(artefact.body, what="an artefact", error=AuditError)
                self._add(file, f"artefacts/{artefact.sha256}.json", [canonical_json(said)])

    def _add_checkpoints(self, file: zipfile.ZipFile, folder: str, notes: Sequence[AnchoredNote]) -> None:
        for number, each in enumerate(notes):
            size = parse_checkpoint(parse_note(each.note).text).size
            if size > self.size:
                raise AuditError(f"{each.place}: keeps a log of {size} leaves; this one has {self.size}")
            proof = [part.hex() for part in consistency_proof(size, self.size, self._source.hashes)]
            said = {"place": each.place, "note": each.note.decode(), "proof": proof}
            self._add(file, f"{folder}/{number}.json", [readable_json(said)])


def _first_at(source: LogSource, at: datetime) -> int:
    """Find the first leaf that is not before a time, by halving."""
    low, high = 0, source.head()
    while low < high:
        middle = (low + high) // 2
        leaf = next(source.leaves(middle, middle + 1), None)
        if leaf is None:
            raise IntegrityError(
                f"leaf {middle} is not there", hint="obligor audit verify tells everything that is wrong"
            )
        if parse_leaf(leaf.body).at < at:
            low = middle + 1
        else:
            high = middle
    return low


def _pins(leaf: StoredLeaf) -> set[str]:
    if leaf.kind not in ("decision", "release"):
        return set()
    said = read_strict_json(leaf.record or b"", what="a record", error=AuditError)
    pins = said.get("pins", said) if isinstance(said, dict) else {}
    return {str(pins[name]) for name in _PINS if name in pins}


def _thinned(notes: Sequence[AnchoredNote]) -> list[AnchoredNote]:
    """Keep so many, evenly, the last among them."""
    if len(notes) <= _MOST_CHECKPOINTS:
        return list(notes)
    last = len(notes) - 1
    return [notes[number * last // (_MOST_CHECKPOINTS - 1)] for number in range(_MOST_CHECKPOINTS)]
