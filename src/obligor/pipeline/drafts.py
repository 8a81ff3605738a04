"""A card draft as a run left it: read back from its folder, and refused where a file is not what the run wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from obligor.core.canonical import canonical_json, sha256
from obligor.core.contract import Contract, parse_contract
from obligor.core.edits import Edits, parse_edits
from obligor.core.errors import EditError, InvalidInputError, SourceError
from obligor.core.scorecard import Scorecard, parse_card
from obligor.files import MANIFEST
from obligor.ingestion.snapshots import load_snapshot
from obligor.pipeline.evidence import CARD, EDITS, EVALUATION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from obligor.core.bins import Bins
    from obligor.core.snapshot import Snapshot
    from obligor.settings import Settings

_AGAIN = "make the run again with `obligor run`"


@dataclass(frozen=True, slots=True)
class RunDraft:
    """The draft of a run: its card, figures and edits, the contract that made it, and the hash of its manifest."""

    folder: Path
    card: Scorecard
    evaluation: Mapping[str, Any]
    edits: Edits
    contract: Contract
    source: str
    """Where the tape came from."""
    manifest_sha256: str
    files: frozenset[str]
    """The names of what the run wrote, the manifest among them."""

    def bins(self, characteristic: str) -> Bins:
        """Give the bins of a characteristic on the card, or as an edit left them.

        Raises
        ------
        EditError
            Where neither the card nor an edit has it; the message says why, where the run knows.
        """
        found = next((it.binning for it in self.card.characteristics if it.feature == characteristic), None)
        fixed = self.edits.fixed.get(characteristic, found)
        if fixed is not None:
            return fixed
        why = {it["feature"]: it["detail"] for it in self.evaluation["dropped"]}
        if characteristic in why:
            raise EditError(
                f"'{characteristic}' is not on the card, so that it has no bins to edit: {why[characteristic]}",
                hint="model.keep in the contract keeps a feature that the rules would drop",
            )
        listed = ", ".join(it.feature for it in self.card.characteristics)
        raise EditError(f"the card has no characteristic '{characteristic}'; it has {listed}")


def open_draft(folder: Path) -> RunDraft:
    """Read a run back.

    Raises
    ------
    InvalidInputError
        Where the folder holds no run, or a file of it was changed since.
    """
    raw = _read(folder, MANIFEST, wanted="the folder of a run, with its manifest.json")
    try:
        manifest = json.loads(raw)
        listed: dict[str, Any] = manifest["outputs"]
        inputs: dict[str, Any] = manifest["inputs"]
        contract = parse_contract(manifest["contract"])
        wanted = {name: listed[name]["sha256"] for name in (CARD, EVALUATION, *([EDITS] if EDITS in listed else []))}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{folder / MANIFEST}: is not the manifest of a run", hint=_AGAIN) from error
    found = {name: _read(folder, name, wanted="a file that the manifest lists") for name in wanted}
    card = parse_card(found[CARD])
    for name, digest in wanted.items():
        if sha256(found[name]) != digest:
            raise InvalidInputError(f"{folder / name}: was changed after the run wrote it", hint=_AGAIN)
    edits = parse_edits(found[EDITS]) if EDITS in found else Edits()
    # As it was written: a later version of Obligor may read it with more defaults, and give it another hash.
    contract_sha256 = sha256(canonical_json(manifest["contract"]))
    if contract_sha256 != card.origin.contract_sha256 or edits.sha256 != card.origin.edits_sha256:
        raise InvalidInputError(
            f"{folder}: the card was made by another contract, or with other edits, than the manifest says", hint=_AGAIN
        )
    evaluation = json.loads(found[EVALUATION])
    assumed = evaluation.get("economics", {}).get("assumed", ())
    return RunDraft(
        folder,
        card,
        evaluation,
        edits,
        contract.model_copy(update={"economics": contract.economics.with_assumed(assumed)}),
        inputs["source"],
        sha256(raw),
        frozenset((*listed, MANIFEST)),
    )


def refuse_another(draft: RunDraft) -> None:
    """Refuse to go on where the run in the folder is no longer the draft that was read."""
    if sha256(_read(draft.folder, MANIFEST, wanted="the draft that was read")) != draft.manifest_sha256:
        raise EditError(
            f"{draft.folder}: the draft has changed while this edit was made; nothing was written",
            hint="look at it again with `obligor bins show`",
        )


def snapshot_of_draft(draft: RunDraft, settings: Settings) -> Snapshot:
    """Load the tape that a draft was made from.

    Raises
    ------
    SourceError
        Where it is no longer kept, or was altered.
    """
    folder = settings.snapshots / draft.card.origin.snapshot_sha256
    if not folder.is_dir():
        raise SourceError(
            f"the tape of this run, {draft.card.origin.snapshot_sha256[:12]}, is not kept in {settings.snapshots}; "
            "without it nothing can be fitted again",
            hint="point OBLIGOR_DATA to the data folder of the run, or take the tape again with "
            f"`obligor run TAPE --contract CONTRACT --out {draft.folder}"
            f"{f' --edits {draft.folder / EDITS}' if draft.edits.edits else ''}`",
        )
    return replace(load_snapshot(folder), source=draft.source)


def _read(folder: Path, name: str, *, wanted: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInputError(f"{folder / name}: there is no such file; wanted {wanted}") from None
    except OSError as error:
        raise InvalidInputError(f"{folder / name}: cannot be read ({error.strerror})") from None
