"""The scorecard: a sum of whole points, with all that is needed to compute it and to judge it.

A card is pure data. Its points are whole numbers in thousandths of a score point, so that their sum is exact whoever
adds them up. A score rewards good. The card names the columns it reads, as its contract described them, and the
features it computes from them; the points of every bin; the PD that goes with every score; the bands and the cut-off.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from obligor.core.bins import MOST_BINS, Bins, CategoryBins, NumericBins
from obligor.core.calibration import PdTable
from obligor.core.canonical import canonical_json, readable_json, sha256
from obligor.core.contract import CardScale, Feature, History, Table
from obligor.core.errors import CardError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = 64 << 20
_MOST_POINTS = 10**9


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class CardBin(_Model):
    """One bin of a characteristic."""

    label: str
    """What a person calls it."""
    points: Annotated[int, Field(ge=-_MOST_POINTS, le=_MOST_POINTS)]
    """Its points, in thousandths."""
    woe: float
    """Its weight of evidence: ln(share of the goods / share of the bads)."""
    goods: Annotated[float, Field(ge=0)]
    """Goods of the train rows in it, by weight."""
    bads: Annotated[float, Field(ge=0)]
    """Bads of the train rows in it, by weight."""


class Characteristic(_Model):
    """A feature on the card: how its values fall into bins, and the points of each."""

    feature: str
    """The column or feature whose values it reads."""
    kind: Literal["numeric", "category"]
    """Whether its bins are intervals or groups of levels."""
    cuts: tuple[float, ...] = ()
    """Interior cut points; a bin is `[lower, upper)`."""
    groups: tuple[tuple[str, ...], ...] = ()
    """The levels of each group."""
    specials: tuple[float | str, ...] = ()
    """Special codes; each has a bin of its own after the ordinary ones."""
    bins: Annotated[tuple[CardBin, ...], Field(max_length=MOST_BINS)]
    """Ordinary bins, special codes, missing and, for categories, unseen: in the order of the codes."""
    trend: str
    """The trend that the bad rate keeps over the ordinary bins."""
    information_value: float
    """Its information value on train."""
    coefficient: float
    """Log-odds of good for one unit of weight of evidence."""
    standard_error: float | None = None
    """Of the coefficient, where it could be estimated."""
    p_value: float | None = None
    """Of the coefficient (Wald, two-sided)."""
    vif: float | None = None
    """Its variance inflation factor among the characteristics."""
    reason: str = ""
    """The text that an applicant reads when it speaks against them."""
    reason_missing: str = ""
    """The same where the value is missing."""

    @model_validator(mode="after")
    def _bins_cover(self) -> Self:
        if len(self.bins) != self.binning.size:
            raise CardError(
                f"characteristic '{self.feature}' has a gap: {len(self.bins)} bins have points, "
                f"wanted {self.binning.size}"
            )
        return self

    @property
    def binning(self) -> Bins:
        """The partition of the feature's values."""
        if self.kind == "numeric":
            return NumericBins(self.feature, self.cuts, _numbers(self.feature, self.specials))
        return CategoryBins(self.feature, self.groups, tuple(str(code) for code in self.specials))

    @property
    def points(self) -> tuple[int, ...]:
        """The points of each bin, in the order of the codes."""
        return tuple(row.points for row in self.bins)


class CardBand(_Model):
    """A band of risk on the card."""

    name: str
    """Its name."""
    pd_max: float
    """The highest PD in it."""
    score_min: int | None
    """The lowest score in it, in thousandths; the last band has none."""


class CardCutoff(_Model):
    """The score from which an application is approved."""

    score: int
    """In thousandths."""
    chosen_by: str
    """What chose it."""


class Origin(_Model):
    """Where a card comes from."""

    contract: str
    """The name of the contract."""
    contract_sha256: str
    """The hash of the contract."""
    snapshot_sha256: str
    """The hash of the data."""
    obligor: str
    """The version of Obligor that made it."""
    seed: int
    """The seed of every draw."""
    rows: dict[str, int]
    """Rows of train, validation and test."""


class Scorecard(_Model):
    """A finished scorecard."""

    schema_: Literal["obligor/scorecard/1"] = Field(alias="schema", default="obligor/scorecard/1")
    """The version of this format."""
    name: str
    """What the card is called."""
    recipe: Literal["classical"] = "classical"
    """How it was made: weights of evidence and one logistic regression."""
    horizon_months: int
    """The months over which the PD is stated."""
    origin: Origin
    """Where it comes from."""
    applications: Table
    """The columns it reads, as the contract described them."""
    histories: dict[str, History]
    """The histories it reads."""
    features: dict[str, Feature]
    """The features it computes."""
    caps: dict[str, tuple[float, float]]
    """The numbers to which a column's values are capped, learnt on train."""
    scale: CardScale
    """How log-odds became points."""
    base_points: Annotated[int, Field(ge=-_MOST_POINTS, le=_MOST_POINTS)]
    """Points that every application starts with, in thousandths."""
    characteristics: Annotated[tuple[Characteristic, ...], Field(max_length=1000)]
    """The features that earn points."""
    pd: PdTable
    """The PD of every score."""
    bands: tuple[CardBand, ...]
    """Bands of risk, from the lowest PD up."""
    cutoff: CardCutoff
    """The score from which an application is approved."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for message in _faults(self):
            raise CardError(message)
        return self

    def to_json(self) -> bytes:
        """Write the card as readable JSON; the same card gives the same bytes."""
        return readable_json(self.model_dump(mode="json", by_alias=True))

    @property
    def sha256(self) -> str:
        """The hash of all that the card says, whatever the white space of its file."""
        return sha256(canonical_json(self.model_dump(mode="json", by_alias=True)))

    def band_of(self, score: int) -> str:
        """Name the band of a score in thousandths."""
        return next(band.name for band in self.bands if band.score_min is None or score >= band.score_min)

    @property
    def score_range(self) -> tuple[int, int]:
        """The lowest and the highest score that the card can give, in thousandths."""
        lowest = self.base_points + sum(min(c.points) for c in self.characteristics)
        highest = self.base_points + sum(max(c.points) for c in self.characteristics)
        return lowest, highest


def parse_card(data: bytes) -> Scorecard:
    """Read a card from the bytes of its file.

    Raises
    ------
    CardError
        Where it is not JSON, says something twice, lacks something, or contradicts itself.
    """
    if len(data) > _MOST_BYTES:
        raise CardError(f"scorecard: {len(data)} bytes are more than {_MOST_BYTES}")
    try:
        json.loads(data, object_pairs_hook=_refuse_repeats, parse_constant=_refuse_constant)
        return Scorecard.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CardError(f"scorecard: {place}: {first['msg']}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CardError(f"scorecard: is not JSON: {error}") from None


def _refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise CardError(f"scorecard: the key '{next(n for n in names if names.count(n) > 1)}' stands twice")
    return found


def _refuse_constant(text: str) -> float:
    raise CardError(f"scorecard: {text} is not a number that JSON knows")


def _faults(card: Scorecard) -> Iterator[str]:
    names = [characteristic.feature for characteristic in card.characteristics]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"scorecard: the characteristic '{name}' stands twice"
    for name in names:
        if name not in card.applications.columns and name not in card.features:
            yield f"scorecard: the characteristic '{name}' reads neither a column nor a feature of the card"
    cutoffs = [band.score_min for band in card.bands]
    known = [score for score in cutoffs if score is not None]
    if not cutoffs or cutoffs[-1] is not None or len(known) != len(cutoffs) - 1:
        yield "scorecard: bands: wanted a score_min for every band but the last"
    if known != sorted(known, reverse=True):
        yield "scorecard: bands overlap: wanted score_min that falls from band to band"


def _numbers(feature: str, codes: tuple[float | str, ...]) -> tuple[float, ...]:
    if any(isinstance(code, str) for code in codes):
        raise CardError(f"characteristic '{feature}': special codes of numeric bins must be numbers")
    return tuple(float(code) for code in codes)
