"""What a notice says beside its reasons, as data of the lender: who the creditor is, which bureau, which score."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from obligor.core.errors import LawError
from obligor.core.strict_json import StrictModel

Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
"""One line of text."""
Language = Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]
MOST_KEY_FACTORS = 4


class Party(StrictModel):
    """Somebody with an address."""

    name: Text
    address: Annotated[tuple[Text, ...], Field(min_length=1, max_length=6)]
    """Line by line."""
    telephone: Text | None = None


class Bureau(Party):
    """A consumer reporting agency."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    """What the lender calls it."""
    telephone: Text
    """Free of charge where the agency keeps files nationwide (FCRA, section 615(a))."""


class OwnScore(StrictModel):
    """The lender's own card as a credit score, where its counsel holds it to be one."""

    lowest: Annotated[int, Field(ge=-10_000, le=10_000)]
    """The lowest possible score, in whole points."""
    highest: Annotated[int, Field(ge=-10_000, le=10_000)]
    """The highest possible score."""
    inquiries: str | None = None
    """The reason family of the number of inquiries, which is told even where it is fifth."""


class Particulars(StrictModel):
    """What is the same in every notice of a lender."""

    schema_: Literal["obligor/particulars/1"] = Field(alias="schema")
    """The version of this format."""
    creditor: Party
    """Who decides."""
    agency: Party
    """Who supervises the creditor for the law that the notice names."""
    reviews: Party
    """Whom an applicant asks for a review or a correction."""
    language: Language
    """The language of the reason texts of the card and the policy."""
    own_score: OwnScore | None = None
    """How the lender's own score is told; without it, it is not held to be a credit score."""
    bureaus: tuple[Bureau, ...] = ()
    """The consumer reporting agencies whose reports the lender uses."""

    @model_validator(mode="after")
    def _bureaus_have_ids(self) -> Self:
        ids = [it.id for it in self.bureaus]
        if len(set(ids)) != len(ids):
            raise LawError("particulars: two bureaus have the same id")
        return self


class ScoreUsed(StrictModel):
    """A credit score of a bureau that was used in a decision, as the bureau told it (FCRA, section 609(f))."""

    schema_: Literal["obligor/score-used/1"] = Field(alias="schema")
    """The version of this format."""
    bureau: str
    """The id of the bureau."""
    score: Annotated[int, Field(ge=0, le=10_000)]
    lowest: Annotated[int, Field(ge=0, le=10_000)]
    """The lowest possible score."""
    highest: Annotated[int, Field(ge=0, le=10_000)]
    """The highest possible score."""
    made_on: date
    """The day on which it was made."""
    key_factors: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MOST_KEY_FACTORS)]
    """What lowered it, the most important first: at most four."""
    inquiries: Text | None = None
    """The number of inquiries where it lowered the score and is not among the four: it is told beside them."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.lowest <= self.score <= self.highest:
            raise LawError("score used: wanted a score between the lowest and the highest")
        if len(set(self.factors)) != len(self.factors):
            raise LawError("score used: a key factor stands twice")
        return self

    @property
    def factors(self) -> tuple[str, ...]:
        """Every key factor, the number of inquiries last."""
        return self.key_factors if self.inquiries is None else (*self.key_factors, self.inquiries)
