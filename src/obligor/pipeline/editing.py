"""Editing a card draft: one change of the bins of one characteristic, the fit done again, the differences told.

The edited run takes the place of the draft, or of what stands in another folder, in one step at the end: an interrupted edit
leaves the draft as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.errors import EditError, InvalidInputError
from obligor.files import whole_folder
from obligor.models.edited import draft_of
from obligor.pipeline.changes import BinTables, CardChange
from obligor.pipeline.drafts import open_draft, refuse_another, snapshot_of_draft
from obligor.pipeline.main_job import run_main_job

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from obligor.core.rebinning import Change
    from obligor.governance.tracking import Tracker
    from obligor.pipeline.drafts import RunDraft
    from obligor.progress import Progress
    from obligor.settings import Settings

_FEWEST_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """An edit that a person wants: what to change, who wants it, why, when, and on which draft."""

    characteristic: str
    change: Change
    author: str
    reason: str
    at: datetime
    draft: str = ""
    """The hash of the card that the person looked at, or its first digits; empty where they do not say."""


def show_bins(run: Path, characteristic: str | None) -> BinTables:
    """Give the bins of a draft, of one characteristic or of all."""
    draft = open_draft(run)
    if characteristic is not None and characteristic not in {it.feature for it in draft.card.characteristics}:
        draft.bins(characteristic)  # says why it is not on the card
        raise EditError(
            f"'{characteristic}' has edited bins, but is not on the card", hint="`obligor bins undo` takes an edit back"
        )
    return BinTables.of(draft, characteristic)


def edit_run(
    run: Path, wish: Wish, *, out: Path | None, work: Path, settings: Settings, tracker: Tracker, progress: Progress
) -> CardChange:
    """Make an edit of the draft in a folder, fit again from the same tape, and write the new run.

    Parameters
    ----------
    out
        Where the new run goes; in place of the draft where it is None.

    Raises
    ------
    EditError
        Where the bins do not allow the change, author or reason are wanting, or the draft is another than the person saw.
    """
    draft = open_draft(run)
    _refuse_another_hash(draft, wish.draft)
    place = run if out is None else out
    if place == run:
        _refuse_guests(draft)
    bins = draft.bins(wish.characteristic)
    edits = draft.edits.followed_by(
        wish.characteristic,
        wish.change,
        author=wish.author,
        reason=wish.reason,
        at=wish.at,
        draft=draft_of(draft.evaluation, bins, draft.card.origin),
    )
    snapshot = snapshot_of_draft(draft, settings)
    with whole_folder(place) as folder:
        run_main_job(
            snapshot,
            contract=draft.contract,
            out=folder,
            work=work,
            settings=settings,
            tracker=tracker,
            progress=progress,
            edits=edits,
            carry=True,
        )
        change = CardChange.between(draft, open_draft(folder), out=place)
        refuse_another(draft)
    return change


def _refuse_another_hash(draft: RunDraft, seen: str) -> None:
    own = draft.card.sha256
    if not seen:
        return
    if len(seen) < _FEWEST_DIGITS:
        raise EditError(
            f"--draft: got '{seen}', wanted at least {_FEWEST_DIGITS} digits of the hash that `bins show` tells"
        )
    if not own.startswith(seen.lower()):
        raise EditError(
            f"{draft.folder}: the draft is {own[:12]}, not {seen[:12]}: it has changed since",
            hint="look at it again with `obligor bins show`",
        )


def _refuse_guests(draft: RunDraft) -> None:
    """Refuse to replace a folder that holds more than the run wrote: it would be lost."""
    held = (it.relative_to(draft.folder).as_posix() for it in draft.folder.rglob("*") if it.is_file())
    guests = sorted(name for name in held if name not in draft.files)
    if guests:
        raise InvalidInputError(
            f"{draft.folder}: holds {guests[0]}, which the run did not write and the edit would remove",
            hint="move it away, or name another folder with --out",
        )
