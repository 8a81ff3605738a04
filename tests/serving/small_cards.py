"""A card small enough to be read in a test."""

from __future__ import annotations

from obligor.core.calibration import PdTable
from obligor.core.clauses import CardScale
from obligor.core.columns import Column, Table
from obligor.core.scorecard import CardBand, CardBin, CardCutoff, Characteristic, Origin, Scorecard

MISSING = 2
"""The bin of a missing value, in each characteristic of the small card."""


def small_card(*names: str, most: int = 100_000, cutoff: int = 500_000) -> Scorecard:
    """A card from 400 points on: each characteristic has two bins and one for missing, worth 0, ``most`` and 10 points."""
    return Scorecard(
        name="small",
        horizon_months=12,
        origin=Origin(contract="", contract_sha256="", snapshot_sha256="", obligor="", seed=0, rows={}),
        applications=Table(columns={name: Column(type="number") for name in names}),
        histories={},
        features={},
        caps={},
        scale=CardScale(),
        base_points=400_000,
        characteristics=tuple(_characteristic(name, most) for name in names),
        pd=PdTable((0,), (0.1,)),
        bands=(
            CardBand(name="A", pd_max=0.05, score_min=520_000),
            CardBand(name="B", pd_max=1.0, score_min=None),
        ),
        cutoff=CardCutoff(score=cutoff, chosen_by="profit"),
    )


def _characteristic(name: str, most: int) -> Characteristic:
    bins = tuple(CardBin(label=str(it), points=it, woe=0.0, goods=1.0, bads=1.0) for it in (0, most, 10_000))
    return Characteristic(
        feature=name, kind="numeric", cuts=(1.0,), bins=bins, trend="free", information_value=0.1, coefficient=1.0
    )
