"""Putting a lost release back as it was: from the record that its leaf commits to, and from artefacts by their hashes."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from obligor.core.canonical import canonical_json
from obligor.core.errors import ClashError, IntegrityError, InvalidInputError, NotFoundError
from obligor.core.leaves import is_committed, parse_leaf, parse_time, time_text
from obligor.security.signing import verify_statement
from obligor.serving.acts import Act, Submission
from obligor.serving.archive import StoredRelease
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.releases.release import PURPOSE, open_release
from obligor.serving.rows import ReleaseRow
from obligor.serving.said import check_author, check_because

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.security.signing import SigningKey
    from obligor.serving.acts import Recorder
    from obligor.serving.archive import ToldRelease
    from obligor.serving.releases.release import Release
    from obligor.serving.rows import ArtefactRow
    from obligor.serving.sources import Sources

_KINDS = ("card", "policy", "profile")
_STATED = ("schema", "number", "at", "by", *(f"{kind}_sha256" for kind in _KINDS))
_GIVE = {
    "card": "with --run the folder of the run that made it, or restore a backup",
    "policy": "with --run the folder of the run that made it, or restore a backup",
    "profile": "with --profile the file that was proposed, or restore a backup",
}


class Remains(Protocol):
    """What is left of a release."""

    async def told_release(self, number: int | None) -> ToldRelease | None:
        """Give what the log tells of a release, the last one without a number; None where it tells of none."""
        ...

    async def artefact(self, sha256: str) -> bytes | None:
        """Give the bytes of a card, a policy or a profile; their hash was checked."""
        ...


async def recover(
    number: int | None,
    *,
    given: Mapping[str, ArtefactRow],
    by: str,
    because: str,
    archive: Remains,
    recorder: Recorder,
    key: SigningKey,
    sources: Sources,
) -> Release:
    """Put the row of a release back, the last one's without a number, and of its artefacts those that are gone and ``given``.

    Raises
    ------
    NotFoundError
        Where the log tells of no such release.
    ClashError
        Where it is kept, with all its artefacts; or its row says something else than the log.
    IntegrityError
        Where the log does not prove what it was, an artefact is gone or changed, or the signature is another's.
    InvalidInputError
        Where what is given is not what the log names, or nobody is named.
    """
    check_author(by, of="a recovery")
    check_because(because)
    told = await archive.told_release(number)
    if told is None:
        raise NotFoundError(f"the log tells of no release{'' if number is None else f' {number}'}")
    said = _said(told)
    bodies, lost = await _artefacts(said, given, archive)
    stored = StoredRelease(
        said["number"],
        canonical_json({name: said[name] for name in _STATED}),
        bytes.fromhex(said["signature"]),
        **bodies,
    )
    release = open_release(stored, signed=partial(verify_statement, purpose=PURPOSE, key=key.verifier))
    row = ReleaseRow(
        release.number,
        said["card_sha256"],
        said["policy_sha256"],
        said["profile_sha256"],
        parse_time(said["at"]),
        said["by"],
        stored.statement,
        stored.signature,
        artefacts=(),
        leaf_index=told.leaf_index,
    )
    _check_kept(told.kept, row, complete=not lost)
    at = sources.now()
    recovered = {
        "schema": "obligor/recovery/1",
        "number": release.number,
        "leaf_index": told.leaf_index,
        "artefacts": [it.sha256 for it in lost],
        "at": time_text(at),
        "by": by,
        "because": because,
    }
    act = Act(
        *("release.recovered", at, f"person:{by}", str(release.number), encode(recovered), sources.salt()),
        rows=(*lost, *((row,) if told.kept is None else ())),
    )
    try:
        await recorder.record(Submission((act,), lambda _: encode_in_order({"number": release.number})))
    except IntegrityError:
        raise ClashError(f"release {release.number} was put back by somebody else meanwhile; look again") from None
    return release


def _said(told: ToldRelease) -> dict[str, Any]:
    """Read the record of a release, where it is the one that the leaf commits to."""
    if told.record is None or not is_committed(parse_leaf(told.leaf), record=told.record, salt=told.salt):
        said = f"leaf {told.leaf_index}: the record of the release is gone, or is not the one that the log commits to"
        raise IntegrityError(said, hint="restore a backup; obligor audit verify tells what else was changed")
    found: dict[str, Any] = json.loads(told.record)
    return found


async def _artefacts(
    said: Mapping[str, Any], given: Mapping[str, ArtefactRow], archive: Remains
) -> tuple[dict[str, bytes], tuple[ArtefactRow, ...]]:
    """Give the three by their kinds, and those of them that are not kept and were given."""
    bodies, lost = {}, []
    for kind in _KINDS:
        name = said[f"{kind}_sha256"]
        body = await archive.artefact(name)
        if body is None:
            if kind not in given:
                raise IntegrityError(f"release {said['number']}: its {kind} {name[:12]} is gone", hint=_GIVE[kind])
            if given[kind].sha256 != name:
                wanted = f"the {kind} given is {given[kind].sha256[:12]}; wanted {name[:12]}, which the log names"
                raise InvalidInputError(f"release {said['number']}: {wanted}")
            lost.append(given[kind])
            body = given[kind].body
        bodies[kind] = body
    return bodies, tuple(lost)


def _check_kept(kept: ReleaseRow | None, told: ReleaseRow, *, complete: bool) -> None:
    """Refuse to put back what stands, as it was or as somebody changed it: a row is added, and none is overwritten."""
    if kept is not None and kept != told:
        hint = f"as its owner take row {told.number} of obligor.release away, then put it back"
        raise ClashError(f"release {told.number}: its row was changed", hint=hint)
    if kept is not None and complete:
        raise ClashError(f"release {told.number} is kept as the log tells of it; there is nothing to put back")
