"""Edits of bins by hand, in the order in which they were made: who, when, why, and on which draft.

The file is append-only. Each edit names the hash of the one before it, and the draft that it was made on: its hashes, the
bins as they stood, and its figures on validation, so that what an edit did can be read from the next. To take an edit back is
an edit too. Nothing but the bins that the edits lead to enters a fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from obligor.core.bins import Bins, CategoryBins, NumericBins
from obligor.core.canonical import canonical_json, readable_json, sha256
from obligor.core.errors import CardError, EditError
from obligor.core.rebinning import Change, Undo, describe, rebin
from obligor.core.strict_json import StrictModel, read_model

if TYPE_CHECKING:
    from datetime import datetime

_MOST_BYTES = 16 << 20
_MOST_EDITS = 10_000
_FIRST = ""


class Figures(StrictModel):
    """What a draft was worth on validation, before the edit."""

    information_value: float | None
    """Of the characteristic, on train."""
    characteristics: int
    """How many the card had."""
    gini: float | None
    ks: float | None
    log_loss: float | None
    approval_rate: float | None
    """At the cut-off."""
    npl_rate: float | None
    """At the cut-off."""


class Draft(StrictModel):
    """The draft that an edit was made on."""

    card_sha256: str
    contract_sha256: str
    snapshot_sha256: str
    cuts: tuple[float, ...] = ()
    """The cuts of the characteristic, where it is a number."""
    groups: tuple[tuple[str, ...], ...] = ()
    """The groups of the characteristic, where it is a category."""
    specials: tuple[float | str, ...] = ()
    """Its special codes."""
    validation: Figures

    def bins(self, feature: str) -> Bins:
        """Give the bins of the characteristic as they stood."""
        if self.groups:
            return CategoryBins(feature, self.groups, tuple(str(code) for code in self.specials))
        return NumericBins(feature, self.cuts, tuple(float(code) for code in self.specials))


class Edit(StrictModel):
    """One change of the bins of one characteristic, with its author and reason."""

    characteristic: Annotated[str, Field(min_length=1, max_length=200)]
    change: Change
    author: str
    reason: str
    at: AwareDatetime
    """When it was made."""
    draft: Draft
    previous: str
    """The hash of the edit before it; empty for the first."""

    @field_validator("author", "reason")
    @classmethod
    def _said(cls, said: str, info: ValidationInfo) -> str:
        name, most = info.field_name or "", {"author": 100, "reason": 2000}
        said = said.strip()
        if not said:
            wanted, option = {"author": ("a name", "author"), "reason": ("why it is made", "because")}[name]
            raise EditError(f"edit: has no {name}; wanted {wanted}", hint=f"--{option} says it")
        if len(said) > most[name] or not said.replace("\n", " ").isprintable():
            raise EditError(f"edit: its {name} is not printable or longer than {most[name]} characters")
        return said

    @property
    def sha256(self) -> str:
        """The hash of all that it says."""
        return sha256(canonical_json(self.model_dump(mode="json")))

    @property
    def what(self) -> str:
        """What it did, in words."""
        return describe(self.change, self.draft.bins(self.characteristic))


class Edits(StrictModel):
    """Every edit that led from the first draft to this one."""

    schema_: Literal["obligor/edits/1"] = Field(alias="schema", default="obligor/edits/1")
    """The version of this format."""
    edits: Annotated[tuple[Edit, ...], Field(max_length=_MOST_EDITS)] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        before = _FIRST
        for place, edit in enumerate(self.edits, start=1):
            if edit.previous != before:
                raise EditError(f"edits: edit {place} does not follow from the one before it; the file was altered")
            before = edit.sha256
        _trails(self.edits)
        return self

    @property
    def fixed(self) -> dict[str, Bins]:
        """The bins of every characteristic that the edits fix; one whose edits were all taken back is free again."""
        return {name: trail[-1] for name, trail in _trails(self.edits).items() if len(trail) > 1}

    @property
    def sha256(self) -> str:
        """The hash of them all; empty where there are none."""
        return sha256(canonical_json(self.model_dump(mode="json", by_alias=True))) if self.edits else ""

    def followed_by(
        self, characteristic: str, change: Change, *, author: str, reason: str, at: datetime, draft: Draft
    ) -> Edits:
        """Append an edit.

        Raises
        ------
        EditError
            Where the bins of the draft do not allow the change, or author or reason are wanting.
        """
        previous = self.edits[-1].sha256 if self.edits else _FIRST
        edit = Edit(
            characteristic=characteristic,
            change=change,
            author=author,
            reason=reason,
            at=at,
            draft=draft,
            previous=previous,
        )
        return Edits(edits=(*self.edits, edit))

    def refuse_elsewhere(self, contract_sha256: str, snapshot_sha256: str) -> None:
        """Refuse edits of which one was made on a draft of another contract or tape: the judgement was on other figures."""
        for place, edit in enumerate(self.edits, start=1):
            for what, own, given in (
                ("contract", edit.draft.contract_sha256, contract_sha256),
                ("tape", edit.draft.snapshot_sha256, snapshot_sha256),
            ):
                if own != given:
                    raise EditError(
                        f"edits: edit {place}, of '{edit.characteristic}', was made on a draft of the {what} {own[:12]}; "
                        f"got the {what} {given[:12]}",
                        hint="--carry-edits takes it all the same, and the report says so",
                    )

    def to_json(self) -> bytes:
        """Write the edits as readable JSON; the same edits give the same bytes."""
        return readable_json(self.model_dump(mode="json", by_alias=True))


def parse_edits(data: bytes) -> Edits:
    """Read edits from the bytes of their file.

    Raises
    ------
    EditError
        Where it is not JSON, lacks something, was altered, or holds an edit that its bins do not allow.
    """
    try:
        return read_model(data, Edits, what="edits", error=EditError, most=_MOST_BYTES)
    except CardError as error:
        raise EditError(f"edits: {error.message}") from None


def _trails(edits: tuple[Edit, ...]) -> dict[str, list[Bins]]:
    """Give, by characteristic, the bins before the edits and after each of them that stands."""
    trails: dict[str, list[Bins]] = {}
    for place, edit in enumerate(edits, start=1):
        name, before = edit.characteristic, edit.draft.bins(edit.characteristic)
        trail = trails.setdefault(name, [before])
        if len(trail) == 1:
            trail[0] = before
        elif trail[-1] != before:
            raise EditError(f"edits: edit {place} was made on other bins of '{name}' than the edits before it give")
        if not isinstance(edit.change, Undo):
            trail.append(rebin(edit.change, before))
        elif len(trail) > 1:
            trail.pop()
        else:
            raise EditError(f"'{name}': has no edit to take back")
    return trails
