"""A contract refuses what it cannot mean, and says everything that is wrong at once."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from obligor.core.columns import Role
from obligor.core.contract import Contract, parse_contract
from obligor.core.errors import ContractError
from obligor.core.features import check_features

PLAIN: dict[str, Any] = {
    "schema": "obligor/contract/1",
    "name": "small",
    "applications": {
        "columns": {
            "income": {"type": "number", "role": "predictor", "special": {-1: "not asked"}, "missing": [-9, "NA"]},
            "sex": {"type": "text", "role": "protected"},
            "grade": {"type": "text", "role": "incumbent_score"},
            "applied_on": {"type": "date", "role": "applied_at", "required": True},
            "status": {"type": "text", "role": "outcome"},
        }
    },
    "outcome": {"window_months": 12, "status": {"column": "status", "good": ["paid"], "bad": ["lost"]}},
    "split": {"random": {"seed": 1}},
}


def changed(*path: str, to: object) -> dict[str, Any]:
    made = copy.deepcopy(PLAIN)
    place = made
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = to
    return made


def test_a_contract_survives_being_written_down() -> None:
    contract = parse_contract(PLAIN)
    again = Contract.model_validate_json(contract.model_dump_json(by_alias=True))
    assert again == contract
    assert again.sha256 == contract.sha256
    assert again.columns["income"].special == {-1.0: "not asked"}


def test_marks_of_numbers_are_part_of_a_contract_and_a_contract_without_them_keeps_its_hash() -> None:
    plain = parse_contract(PLAIN)
    assert parse_contract(changed("applications", "decimal", to=".")).sha256 == plain.sha256
    marked = parse_contract(changed("applications", "decimal", to=","))
    assert Contract.model_validate_json(marked.model_dump_json(by_alias=True)) == marked
    assert marked.sha256 != plain.sha256
    assert not {"decimal", "thousands"} & plain.model_dump()["applications"].keys()


def test_a_contract_without_impossible_values_keeps_its_hash_and_one_with_them_is_another() -> None:
    plain = parse_contract(PLAIN)
    income = ("applications", "columns", "income")
    assert parse_contract(changed(*income, "beyond", to="flag")).sha256 == plain.sha256
    assert "beyond" not in plain.model_dump_json()
    refused = parse_contract(
        changed(*income, to=PLAIN["applications"]["columns"]["income"] | {"min": 0, "beyond": "refuse"})
    )
    assert Contract.model_validate_json(refused.model_dump_json(by_alias=True)) == refused
    assert refused.sha256 != plain.sha256


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"type": "number", "beyond": "refuse"}, "beyond: refuse needs min or max"),
        ({"type": "number", "min": 0, "beyond": "reject"}, "flag"),
        ({"type": "text", "levels": ["a"], "beyond": "refuse"}, "beyond: refuse needs min or max"),
        ({"type": "text", "min": "2020-01-01"}, "a limit of 2020-01-01 does not fit a column of type text"),
        ({"type": "bool", "max": "2020-01-01"}, "a limit of 2020-01-01 does not fit a column of type bool"),
    ],
)
def test_limits_that_no_value_could_be_held_against_are_refused(column: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        parse_contract(changed("applications", "columns", "odd", to=column))


def test_the_order_of_keys_is_not_part_of_what_a_contract_says() -> None:
    assert parse_contract(dict(reversed(PLAIN.items()))).sha256 == parse_contract(PLAIN).sha256


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("colour",), 1, "unknown key 'colour'"),
        (("splitt",), {}, "unknown key 'splitt'; did you mean 'split'"),
        (("applications", "columns", "income", "trnd"), "up", "unknown key 'trnd'; did you mean 'trend'"),
        (("applications", "columns", "income", "trend"), "up", "got 'up'"),
        (("applications", "columns", "income", "role"), ["leakage", "predictor"], "'leakage' can never be a predictor"),
        (("applications", "columns", "grade", "role"), ["incumbent_score", "predictor"], "can never be a predictor"),
        (("applications", "columns", "sex", "role"), ["protected", "predictor"], "only with a reason"),
        (("applications", "columns", "income", "min"), "2020-01-01", "does not fit a column of type number"),
        (("applications", "columns", "applied_on", "role"), "predictor", "a date cannot be a predictor"),
        (
            ("applications", "columns", "second"),
            {"type": "date", "role": "applied_at", "required": True},
            "second column",
        ),
        (("outcome", "status", "column"), "stats", "there is no column 'stats'; did you mean 'status'"),
        (("outcome", "status", "bad"), ["lost", "paid"], "'paid' stands under more than one outcome"),
        (("outcome", "window_months"), 0, "more than 0"),
        (("split",), {"time": {"validation_from": "2020-01-01", "test_from": "2019-01-01"}}, "must lie before"),
        (("split",), {}, "exactly one of time and random"),
        (("bands",), [{"name": "low", "pd_max": 0.1}], "ends at 1"),
        (("economics",), {"cost_missed_default": -1}, "got -1, wanted at least 0"),
        (("economics",), {"lgd": 1.2}, "got 1.2, wanted at most 1"),
        (("economics",), {"margin": None}, "got null, wanted a number"),
        (("cutoff",), {"by": "pd"}, "value goes with by: pd"),
        (("cutoff",), {"by": "pd", "value": 1.5}, "got 1.5, wanted less than 1"),
        (("model", "min_bads"), 0, "more than 0"),
        (("model",), {"recipe": "smooth", "min_share": 0.1}, "min_share: has no meaning where the recipe is smooth"),
        (("model",), {"max_pairs": 3}, "max_pairs: has no meaning where the recipe is classical"),
        (
            ("challengers",),
            {"models": ["forest"]},
            "challengers.models.0: got 'forest', wanted 'boosted' or 'additive'",
        ),
        (("challengers",), {"models": ["boosted", "boosted"]}, "wanted each at most once"),
        (("challengers",), {"trails": 5}, "unknown key 'trails'; did you mean 'trials'"),
        (("challengers",), {"trials": 0}, "got 0, wanted at least 1"),
        (("model",), {"keep": ["incme"]}, "no predictor 'incme'; did you mean 'income'"),
        (("fairness",), {"test": False}, "needs because"),
        (("fairness",), {"because": "no reason to"}, "goes with test: false"),
        (("fairness",), {"test": False, "because": "no law asks", "alternatives": True}, "which test: false forbids"),
        (("fairness",), {"hard": 0.95}, "hard 0.95 is above review 0.9"),
        (("fairness",), {"fewest": 3}, "got 3, wanted at least 5"),
        (("fairness",), {"fewst": 50}, "unknown key 'fewst'; did you mean 'fewest'"),
        (
            ("applications", "columns", "sex", "groups"),
            [1, 2],
            "groups are for a protected column of type number or date",
        ),
        (
            ("applications", "columns", "born"),
            {"type": "date", "role": "protected", "groups": [60, 40]},
            "wanted values that rise",
        ),
        (("applications", "decimal"), ";", "got ';'"),
        (("applications", "thousands"), ".", "decimal and thousands are both '.'"),
        (("features",), {"x": {"expression": "income", "window_days": 3}}, "belong to a feature with a history"),
        (("features",), {"income": {"expression": "income"}}, "has the name of a column"),
    ],
)
def test_what_a_contract_cannot_mean_is_refused(path: tuple[str, ...], value: object, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_contract(changed(*path, to=value))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("incme / 2", "did you mean"),
        ("grade = 'A'", "grade"),
        ("CASE WHEN sex = 'f' THEN 1 ELSE 0 END", "sex"),
        ("CASE WHEN status = 'lost' THEN 1 ELSE 0 END", "status"),
        ("__import__('os')", "__import__"),
        ("(SELECT 1)", ""),
        ("SQRT(income)", "SQRT"),
        ("(" * 10_000 + "income" + ")" * 10_000, ""),
    ],
)
def test_features_read_only_what_may_feed_them(expression: str, message: str) -> None:
    contract = parse_contract(changed("features", to={"made": {"expression": expression}}))
    with pytest.raises(ContractError) as caught:
        check_features(contract)
    assert message in str(caught.value)
    assert caught.value.problems[0].path[:1] == ("features",)


def test_a_search_for_alternatives_without_a_protected_column_is_refused() -> None:
    wrong = changed("applications", "columns", "sex", "role", to="input") | {"fairness": {"alternatives": True}}
    with pytest.raises(ContractError, match="no column has the role protected"):
        parse_contract(wrong)


def test_a_protected_column_feeds_a_feature_only_with_the_reason_that_makes_it_a_predictor() -> None:
    features = {"made": {"expression": "CASE WHEN sex = 'f' THEN 1 ELSE 0 END"}}
    barred = changed("features", to=features)
    with pytest.raises(ContractError, match="sex"):
        check_features(parse_contract(barred))
    for role in (["protected", "input"], ["protected", "exposure"]):
        barred["applications"]["columns"]["sex"] = {"type": "number", "role": role, "predictor_because": "so it is"}
        with pytest.raises(ContractError, match="sex"):
            check_features(parse_contract(barred | {"features": {"made": {"expression": "sex * 2"}}}))
    allowed = changed("features", to=features)
    allowed["applications"]["columns"]["sex"] |= {
        "role": ["protected", "predictor"],
        "predictor_because": "the law asks",
    }
    made = check_features(parse_contract(allowed))
    assert "sex" in made.needed_for(["made"])


@pytest.mark.parametrize("where", [{"expression": "sex_code"}, {"expression": "amount", "where": "sex_code = 1"}])
@pytest.mark.parametrize("role", ["protected", "leakage"])
def test_no_history_brings_a_protected_column_or_a_leak_to_the_card(where: dict[str, str], role: str) -> None:
    columns = {
        "key": {"type": "text"},
        "at": {"type": "date"},
        "amount": {"type": "number"},
        "sex_code": {"type": "number", "role": role},
    }
    history = {"columns": columns, "key": ["key", "sex"], "event_at": "at"}
    made = changed("histories", to={"household": history})
    made["features"] = {"made": {"history": "household", "aggregate": "max", **where}}
    with pytest.raises(ContractError, match="sex_code"):
        check_features(parse_contract(made))


def with_rules(*rules: dict[str, Any]) -> dict[str, Any]:
    decline = {"name": "rule", "outcome": "decline", "reason": "A rule"}
    return changed("knockouts", to=[decline | each for each in rules])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{"when": "sex = 'f'"}], "knockouts.0.when: the column 'sex' may not decide: its role is protected"),
        ([{"when": "status = 'lost'"}], "the column 'status' may not decide: its role is outcome"),
        ([{"when": "grade = 'A'"}], "the column 'grade' may not decide: its role is incumbent_score"),
        ([{"when": "incme > 3"}], "there is no column 'incme'"),
        ([{"when": "income"}], "knockouts.0.when: wanted a condition, got a number"),
        ([{"when": "income > 3"}, {"when": "TRUE"}], "knockouts.1.name: is the second rule called 'rule'"),
        ([{"when": "income > 3", "reason": ""}], "needs a reason, which the applicant reads"),
        ([{"when": "income > 3", "outcom": "refer"}], "unknown key 'outcom'; did you mean 'outcome'"),
        ([{"when": "income > 3", "outcome": "approve"}], "got 'approve'"),
        ([{"when": "income >"}], "knockouts.0.when"),
    ],
)
def test_a_rule_that_may_not_decide_or_cannot_be_computed_is_refused(rules: Any, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_features(parse_contract(with_rules(*rules)))
    assert message in str(caught.value)


def test_a_rule_reads_columns_and_features_and_one_that_refers_needs_no_reason() -> None:
    said = with_rules({"when": "half > 3 OR income IS NULL", "outcome": "refer", "reason": ""})
    contract = parse_contract(said | {"features": {"half": {"expression": "income / 2"}}})
    check_features(contract)
    assert contract.sha256 != parse_contract(PLAIN).sha256


def test_features_in_a_circle_are_refused() -> None:
    features = {"a": {"expression": "b + 1"}, "b": {"expression": "a + 1"}}
    with pytest.raises(ContractError, match="circle"):
        check_features(parse_contract(changed("features", to=features)))


def test_every_problem_is_told_at_once() -> None:
    wrong = changed("colour", to=1)
    wrong["outcome"]["window_months"] = -1
    wrong["applications"]["columns"]["income"]["type"] = "money"
    with pytest.raises(ContractError) as caught:
        parse_contract(wrong)
    assert len(caught.value.problems) == 3


def test_predictors_come_in_the_order_of_the_contract() -> None:
    features = {"ratio": {"expression": "1 / income"}, "half": {"expression": "income / 2", "role": "input"}}
    contract = parse_contract(changed("features", to=features))
    assert contract.predictors == ("income", "ratio")
    assert contract.with_role(Role.PROTECTED) == ("sex",)


def with_cutoff(cutoff: dict[str, Any], **said: Any) -> dict[str, Any]:
    made = changed("cutoff", to=cutoff) | said
    made["applications"]["columns"] |= {
        "channel": {"type": "text"},
        "amount": {"type": "number", "role": "exposure"},
    }
    return made


@pytest.mark.parametrize(
    ("cutoff", "message"),
    [
        ({"segment": "chanel"}, "cutoff.segment: there is no column or feature 'chanel'; did you mean 'channel'"),
        ({"segment": "sex"}, "the column 'sex' may not move a cut-off: its role is protected"),
        ({"segment": "grade"}, "the column 'grade' may not move a cut-off: its role is incumbent_score"),
        ({"segment": "status"}, "the column 'status' may not move a cut-off: its role is outcome"),
        ({"segment": "amount"}, "cutoff.segment: 'amount' is a number; wanted text or bool"),
        ({"amounts": [500, 100]}, "amounts: wanted each above the one before it"),
        ({"amounts": [0, 100]}, "got 0, wanted more than 0"),
        ({"grey_points": -1}, "got -1, wanted at least 0"),
        ({"min_bads": 0}, "got 0, wanted at least 1"),
        ({"by": "break_even", "value": 0.1}, "value goes with by: pd or by: approval_rate"),
    ],
)
def test_thresholds_that_a_contract_cannot_mean_are_refused(cutoff: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_features(parse_contract(with_cutoff(cutoff)))
    assert message in str(caught.value)


def test_a_feature_may_part_the_segments_where_it_is_a_category_of_the_application() -> None:
    features = {
        "large": {"expression": "amount > 500", "role": "input"},
        "double": {"expression": "2 * amount", "role": "input"},
    }
    assert check_features(parse_contract(with_cutoff({"segment": "large"}, features=features))).types["large"] == "bool"
    with pytest.raises(ContractError, match="'double' is a number; wanted text or bool"):
        check_features(parse_contract(with_cutoff({"segment": "double"}, features=features)))
    bureau = {
        "key": ["income", "income"],
        "event_at": "day",
        "columns": {"income": {"type": "number"}, "day": {"type": "date"}},
    }
    features = {
        "records": {"history": "bureau", "aggregate": "count"},
        "known": {"expression": "records > 0", "role": "input"},
    }
    said = with_cutoff({"segment": "known"}, features=features, histories={"bureau": bureau})
    with pytest.raises(ContractError, match="'known' reads the history feature 'records'"):
        check_features(parse_contract(said))


@pytest.mark.parametrize("said", [{"cutoff": {"amounts": [100]}}, {"economics": {"cost_per_loan": 5}}])
def test_what_hangs_on_the_amount_needs_a_column_that_says_it(said: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="needs a column of role exposure"):
        parse_contract(PLAIN | said)


def test_alternatives_are_not_searched_for_a_card_with_inferred_outcomes() -> None:
    said = changed("fairness", to={"alternatives": True}) | {"rejects": {"when": "status = 'no'", "method": "fuzzy"}}
    with pytest.raises(ContractError, match="are fitted on accepted loans alone"):
        parse_contract(said)
    said["rejects"]["method"] = "none"
    assert parse_contract(said).rejects is not None
