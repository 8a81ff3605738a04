"""Fits a card by the recipe of a contract, and looks for others that treat groups more alike."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from obligor.core.columns import Role
from obligor.models.alternatives import classical_refitter, smooth_refitter
from obligor.models.assembly import economy_of
from obligor.models.binning import BinningRules
from obligor.models.columns import Predictor, Rows
from obligor.models.evaluation import tidy
from obligor.models.fairness import searched
from obligor.models.logistic import penalty_of
from obligor.models.pairs import PairRules
from obligor.models.projection import SmoothRules
from obligor.models.ratios import pairs_of, propose_ratios
from obligor.models.selection import SelectionRules
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import Recipe, fit_card
from obligor.preprocessing.features import FeatureColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from obligor.core.bins import Bins
    from obligor.core.contract import Contract
    from obligor.core.features import FeatureSet
    from obligor.models.columns import Columns
    from obligor.models.fitted import FittedCard
    from obligor.models.judged import Judged
    from obligor.pipeline.preparing import Prepared
    from obligor.progress import Progress


def fit(
    contract: Contract,
    prepared: Prepared,
    rows: Rows,
    *,
    fixed: Mapping[str, Bins] | None = None,
    columns: Columns | None = None,
    known: int | None = None,
    advance: Callable[[float], None],
) -> FittedCard:
    """Fit a card by the recipe of the contract.

    Parameters
    ----------
    fixed
        Bins made by hand, by predictor.
    columns
        The columns of the rows, where they are not the known ones of the tape.
    known
        How many of the rows, the first ones, are of known outcome, where the others are inferred.
    """
    predictors = predictors_of(contract, prepared.features)
    columns = columns or columns_of(prepared)
    if contract.model.recipe == "smooth":
        rules = replace(smooth_rules_of(contract), fixed=fixed or {})
        return fit_smooth_card(predictors, columns, rows, rules=rules, advance=advance)
    recipe = replace(recipe_of(contract), fixed=fixed or {})
    return fit_card(predictors, columns, rows, recipe=recipe, known=known, advance=advance)


def smooth_rules_of(contract: Contract) -> SmoothRules:
    """Give the developer's choices for a smooth card."""
    said = contract.model
    return SmoothRules(
        max_bins=said.max_bins or SmoothRules().max_bins,
        max_characteristics=said.max_characteristics,
        keep=said.keep,
        pairs=PairRules(most=said.max_pairs),
        scale=contract.scale,
    )


def recipe_of(contract: Contract) -> Recipe:
    """Give the developer's choices as the fitters take them."""
    said = contract.model
    return Recipe(
        binning=BinningRules(
            max_bins=said.max_bins or BinningRules().max_bins,
            min_share=said.min_share,
            min_bads=said.min_bads,
            min_goods=said.min_bads,
        ),
        selection=SelectionRules(
            min_information_value=said.min_information_value,
            max_psi=said.max_psi,
            max_correlation=said.max_correlation,
            max_p_value=said.max_p_value,
            max_characteristics=said.max_characteristics,
            keep=said.keep,
        ),
        penalty=penalty_of(said.penalty, sign_constrained=said.sign_constrained),
        scale=contract.scale,
        segment=said.segment,
    )


def predictors_of(contract: Contract, features: FeatureSet) -> list[Predictor]:
    """Give what the contract offers to the card."""
    found = []
    for name in contract.predictors:
        said = contract.columns.get(name) or contract.features[name]
        specials = tuple(contract.columns[name].special) if name in contract.columns else ()
        kind: Literal["numeric", "category"] = "numeric" if features.types[name] == "number" else "category"
        found.append(Predictor(name, kind, said.trend, specials))
    return found


def columns_of(prepared: Prepared) -> FeatureColumns:
    """Give the columns and features of the used rows."""
    return FeatureColumns(prepared.tape.db, "features")


def search_alternatives(
    contract: Contract,
    prepared: Prepared,
    fitted: FittedCard,
    judged: Judged,
    *,
    fixed: Mapping[str, Bins],
    progress: Progress,
) -> dict[str, Any]:
    """Search for less discriminatory alternatives, by the recipe of the contract, on the bins made by hand."""
    predictors, columns = predictors_of(contract, prepared.features), FeatureColumns(prepared.tape.db, "features")
    if contract.model.recipe == "smooth":
        rules = replace(smooth_rules_of(contract), fixed=fixed)
        refitter = smooth_refitter(fitted, predictors, columns, judged.rows, rules=rules)
    else:
        recipe = replace(recipe_of(contract), fixed=fixed)
        refitter = classical_refitter(fitted, predictors, columns, judged.rows, recipe=recipe)
    with progress.step("searching for alternatives", total=refitter.most) as advance:
        found = searched(
            judged, fitted, contract.fairness, refitter=refitter, economy=economy_of(contract), advance=advance
        )
    plain: dict[str, Any] = tidy(found)
    return plain


def propose_features(
    contract: Contract, prepared: Prepared, fitted: FittedCard, rows: Rows, *, progress: Progress
) -> list[dict[str, Any]]:
    """Look for ratios of two columns that would tell more than the card, as many as the contract asks for."""
    if not contract.model.proposals:
        return []
    columns = columns_of(prepared)
    numbers = {}
    for name in contract.with_role(Role.PREDICTOR):
        column = contract.columns[name]
        if column.type == "number" and Role.PROTECTED not in column.role:
            values = columns.numbers(name)
            numbers[name] = np.where(np.isin(values, list(column.special)), np.nan, values)
    with progress.step("looking for ratios", total=pairs_of(len(numbers))) as advance:
        found = propose_ratios(
            numbers,
            fitted.scores,
            rows,
            scale=contract.scale,
            most=contract.model.proposals,
            known=[it.expression for it in contract.features.values() if it.expression],
            advance=advance,
        )
    taken = {*contract.columns, *contract.features}
    return [asdict(it) | {"name": it.name if it.name not in taken else f"{it.name}_ratio"} for it in found]
