"""Which gates hold for an application: those of its scope, and the strictest that may hold where a word is missing."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_profile import ELSEWHERE, gated, plain

from obligor.core.columns import Column, Role
from obligor.core.decision import Reading, decide
from obligor.core.errors import ProfileError
from obligor.core.profile import GATES, OTHERWISE, RESULTS, STATES, Profile, parse_new_profile, parse_profile
from obligor.core.scopes import Scoping, check_scopes, compile_scopes, turned_down

if TYPE_CHECKING:
    from collections.abc import Mapping

CARD_FR: Final = "product = 'card' AND country = 'FR'"
COLUMNS: Final = {
    "product": Column(type="text", map={"credit card": "card"}, missing=("n/a",), special={"?": "not asked"}),
    "country": Column(type="text", case="upper"),
    "amount": Column(type="number", special={-1.0: "not asked"}),
    "online": Column(type="bool"),
    "sex": Column(type="text", role=(Role.PROTECTED,)),
    "age": Column(type="number", role=(Role.PROTECTED, Role.PREDICTOR), predictor_because="as the law lets"),
    "town": Column(type="text", privacy="quasi"),
    "customer": Column(type="text", role=(Role.IDENTIFIER,)),
    "since": Column(type="date"),
}
VALUES: Final[Mapping[str, tuple[Any, ...]]] = {
    "product": ("card", "loan", "lease"),
    "country": ("FR", "DE", "US"),
    "amount": (10.0, 100.0, 1000.0),
    "online": (True, False),
}


MANY_WORDS: Final = ", ".join(repr(str(it)) for it in range(120))


def scope(name: str, when: str, **gates: Any) -> dict[str, Any]:
    return {
        "name": name,
        "when": when,
        "gates": {it: {"state": said} if isinstance(said, str) else said for it, said in gates.items()},
    }


def scoped(*scopes: dict[str, Any], **said: Any) -> Profile:
    return parse_profile(json.dumps(plain(scopes=scopes, gates=gated(kyc={"state": "enforce"})) | said).encode())


def scoping(*scopes: dict[str, Any], **said: Any) -> Scoping:
    found = compile_scopes(scoped(*scopes, **said), COLUMNS)
    check_scopes(found)
    return found


def row(**said: Any) -> dict[str, Any]:
    return {name: values[-1] for name, values in VALUES.items()} | said


def test_the_first_scope_that_an_application_fits_says_which_gates_hold() -> None:
    found = scoping(
        scope("card-fr", CARD_FR, kyc="monitor", aml="enforce"),
        scope("card", "product = 'card'", kyc="off"),
        scope("large", "amount >= 500 AND NOT online", aml="monitor"),
    )
    for said, wanted, states in (
        (row(product="card", country="FR"), "card-fr", ("monitor", "enforce", "off", "off")),
        (
            row(product="credit card", country="fr"),
            "card-fr",
            ("monitor", "enforce", "off", "off"),
        ),  # as the contract reads it
        (row(product="card"), "card", ("off", "off", "off", "off")),
        (row(), "large", ("enforce", "monitor", "off", "off")),
        (row(online=True), OTHERWISE, ("enforce", "off", "off", "off")),
    ):
        held = found.of(said)
        assert held.scopes == (wanted,)
        assert tuple(held.profile.gate(it).state for it in GATES) == states
        assert held.profile.scopes == ()


def test_a_profile_without_scopes_keeps_its_bytes_and_one_with_them_keeps_their_order() -> None:
    bare, one, other = scoped(), scope("a", "online", kyc="off"), scope("b", CARD_FR, kyc="off")
    assert b"scopes" not in bare.to_json()
    profile = scoped(one, other)
    assert parse_profile(profile.to_json()) == profile
    kept = {"gates": {"kyc": {"state": "off", "on_fail": "hold", "reason": ""}}}
    assert json.loads(profile.to_json())["scopes"] == [one | kept, other | kept]
    assert len({bare.sha256, profile.sha256, scoped(other, one).sha256}) == 3
    assert scoped(one).asked == ("kyc",)
    assert scoped(scope("a", "online", pep={"state": "monitor", "on_fail": "refer"})).asked == ("kyc", "pep")


@pytest.mark.parametrize("missing", [None, " ", "n/a", "?"])
def test_where_a_word_is_missing_the_strictest_of_what_may_hold_does(missing: str | None) -> None:
    weaker, stricter = scope("card", "product = 'card'", kyc="off"), scope("loan", "product = 'loan'", aml="enforce")
    held = scoping(weaker, stricter).of(row(product=missing))
    assert held.scopes == ("card", "loan", OTHERWISE)
    assert [held.profile.gate(it).state for it in GATES] == ["enforce", "enforce", "off", "off"]
    both = scope("card-fr", CARD_FR, kyc="off")
    assert scoping(both).of(row(product=missing, country="US")).scopes == (OTHERWISE,), (
        "which fits, whatever the product"
    )
    assert scoping(both).of(row(product=missing, country="FR")).scopes == ("card-fr", OTHERWISE)


def test_of_gates_that_are_equally_strict_the_gravest_counts() -> None:
    declines = {"state": "enforce", "on_fail": "decline", "reason": "Unable to verify identity"}
    found = scoping(
        scope("a", "product = 'card'", kyc=declines),
        scope("b", "product = 'loan'", kyc={"state": "enforce", "on_fail": "refer"}),
    )
    assert found.of({}).profile.gate("kyc").on_fail == "decline"


@pytest.mark.parametrize("said", [{}, {"product": "card"}, {"product": 1, "country": "FR"}])
def test_a_field_that_is_absent_or_of_another_type_leaves_every_scope_possible(said: dict[str, Any]) -> None:
    """As in the record of an application to an earlier card."""
    assert scoping(scope("card-fr", CARD_FR, kyc="off")).of(said).scopes == ("card-fr", OTHERWISE)


CONDITIONS: Final = st.recursive(
    st.sampled_from(
        (
            "product = 'card'",
            "product <> 'loan'",
            "country IN ('FR', 'DE')",
            "'US' = country",
            "amount >= 100",
            "amount BETWEEN 50 AND 500",
            "online",
        )
    ),
    lambda parts: (
        st.builds("({} {} {})".format, parts, st.sampled_from(("AND", "OR")), parts)
        | st.builds("NOT ({})".format, parts)
    ),
    max_leaves=5,
)
GATED: Final = st.fixed_dictionaries({}, optional=dict.fromkeys(("kyc", "aml"), st.sampled_from(STATES)))
MANY: Final = st.lists(st.tuples(CONDITIONS, GATED), max_size=4)
KNOWN: Final = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in VALUES.items()})


def made(said: list[tuple[str, dict[str, str]]]) -> Scoping:
    return compile_scopes(scoped(*(scope(f"s{at}", when, **gates) for at, (when, gates) in enumerate(said))), COLUMNS)


@settings(deadline=None)
@given(MANY, KNOWN, st.sets(st.sampled_from([*VALUES])))
def test_what_is_not_said_never_leads_to_weaker_gates_than_anything_that_might_have_been(
    said: list[tuple[str, dict[str, str]]], known: dict[str, Any], hidden: set[str]
) -> None:
    found = made(said)
    held = found.of(known | dict.fromkeys(hidden))
    for values in product(*(VALUES[name] for name in hidden)):
        might = found.of(known | dict(zip(hidden, values, strict=True)))
        assert len(might.scopes) == 1
        assert might.scopes[0] in held.scopes
        for gate in GATES:
            assert STATES.index(held.profile.gate(gate).state) >= STATES.index(might.profile.gate(gate).state)


@settings(deadline=None)
@given(
    MANY,
    KNOWN,
    st.sets(st.sampled_from([*VALUES])),
    st.dictionaries(st.sampled_from(GATES), st.sampled_from(RESULTS)),
)
def test_nobody_is_approved_where_an_enforced_gate_of_their_scope_was_not_evaluated(
    said: list[tuple[str, dict[str, str]]], known: dict[str, Any], hidden: set[str], results: dict[str, str]
) -> None:
    """Nor where it did not pass, whichever scope that is, once the missing words are known."""
    profile = made(said).of(known | dict.fromkeys(hidden)).profile
    best = Reading(None, None, 0, 0, ())
    decision = decide(10**6, best, reasons=(), profile=profile, at=profile.effective_from, results=results)
    for values in product(*(VALUES[name] for name in hidden)):
        might = made(said).of(known | dict(zip(hidden, values, strict=True))).profile
        stops = [it for it in GATES if might.gate(it).state == "enforce" and results.get(it) != "pass"]
        assert decision.outcome != "approve" or not stops


@settings(deadline=None)
@given(MANY, MANY, st.lists(KNOWN, min_size=1, max_size=5), st.sets(st.sampled_from([*VALUES])))
def test_what_is_turned_down_for_anybody_is_named(
    new: list[tuple[str, dict[str, str]]],
    old: list[tuple[str, dict[str, str]]],
    people: list[dict[str, Any]],
    hidden: set[str],
) -> None:
    """An oracle beside the cases: whoever is asked less than before shows that something was turned down."""
    now, before = (scoped(*(scope(f"s{at}", *each[:1], **each[1]) for at, each in enumerate(it))) for it in (new, old))
    named = {it.split()[0] for it in turned_down(now, before, COLUMNS)}
    found, base = compile_scopes(now, COLUMNS), compile_scopes(before, COLUMNS)
    for person in people:
        said = person | dict.fromkeys(hidden)
        for gate in GATES:
            ranks = [STATES.index(it.of(said).profile.gate(gate).state) for it in (found, base)]
            assert ranks[0] >= ranks[1] or gate in named
    assert turned_down(now, now, COLUMNS) == ()


def test_what_is_turned_down_is_named_with_its_scope() -> None:
    bare, one = scoped(), scoped(scope("card-fr", CARD_FR, kyc="off"))
    assert turned_down(one, bare, COLUMNS) == ("kyc in card-fr",)
    assert turned_down(bare, one, COLUMNS) == ()
    wider = scoped(scope("card-fr", "product = 'card' AND country IN ('FR', 'DE')", kyc="off"))
    assert turned_down(wider, one, COLUMNS) == ("kyc in card-fr",), "of the same name, and for more people"
    assert turned_down(one, wider, COLUMNS) == ()
    renamed = scoped(scope("french-cards", CARD_FR, kyc="off"))
    assert turned_down(renamed, one, COLUMNS) == ()
    lower = scoped(scope("card-fr", CARD_FR, kyc="off"), gates=gated(kyc={"state": "monitor"}))
    assert turned_down(lower, one, COLUMNS) == ("kyc in otherwise",)


@pytest.mark.parametrize(
    ("scopes", "words"),
    [
        ([scope("a", "colour = 'red'", kyc="off")], "'a': at character 1 .*: there is no column 'colour'"),
        ([scope("a", "sex = 'f'", kyc="off")], "'a': reads 'sex', which is protected"),
        ([scope("a", "online AND age > 70", kyc="off")], "'a': reads 'age', which is protected"),
        ([scope("a", "town = 'Paris'", kyc="off")], "'a': reads 'town', which is personal"),
        ([scope("a", "customer = 'c1'", kyc="off")], "'a': reads 'customer', which is of the role identifier"),
        ([scope("a", "since > DATE '2026-01-01'", kyc="off")], "'a': reads 'since', which is a date"),
        ([scope("a", "product == 'card'", kyc="off")], "is not part of the feature language"),
        ([scope("a", "product", kyc="off")], "'a': when: wanted fields compared with values"),
        ([scope("a", "amount + 1", kyc="off")], "'a': when: wanted fields compared with values"),
        ([scope("a", "TRUE", kyc="off")], "wanted fields compared with values"),
        ([scope("a", "country IS NULL", kyc="off")], "wanted fields compared with values"),
        ([scope("a", "COALESCE(country, 'FR') = 'FR'", kyc="off")], "wanted fields compared with values"),
        ([scope("a", "product = country", kyc="off")], "wanted fields compared with values"),
        ([scope("a", "amount * 2 > 10", kyc="off")], "wanted fields compared with values"),
        (
            [scope("a", CARD_FR, kyc="off"), scope("b", "country='FR' AND product='card'", aml="enforce")],
            "'b': never holds, since another before it",
        ),
        (
            [scope("a", "online", kyc="off"), scope("b", "online AND amount > 5", kyc="off")],
            "'b': never holds, since another",
        ),
        ([scope("a", "product = 'card' AND product = 'loan'", kyc="off")], "'a': never holds, since nothing fits"),
        ([scope("a", "amount > 5 AND amount < 5", kyc="off")], "'a': never holds, since nothing fits"),
        ([scope("a", "country = 'fr'", kyc="off")], "'a': never holds, since nothing fits"),  # read in capitals
        ([scope("a", "amount = -1", kyc="off")], "'a': never holds, since nothing fits"),  # a code
        ([scope("a", "product = 'n/a'", kyc="off")], "'a': never holds, since nothing fits"),
        ([scope("a", "online OR NOT online", kyc="off"), scope("b", "online", kyc="off")], "'b': never holds"),
        ([scope("a", "online", kyc="off"), scope("a", CARD_FR, kyc="off")], "the name 'a' is that of another"),
        ([scope("otherwise", "online", kyc="off")], "the name 'otherwise' is that of another"),
        ([scope("A", "online", kyc="off")], r"scopes\.0\.name"),
        ([scope("a", "online", pci="off")], "gates.pci: wanted none; numbers of cards are looked for before"),
        ([scope("a", "online", tax="off")], r"scopes\.0\.gates\.tax: is a key that is not known"),
        ([scope("a", "online", kyc={"state": "off", "elsewhere": ELSEWHERE})], "wanted of the gates aml and pep alone"),
        (
            [scope("a", "online", aml={"state": "enforce", "on_fail": "decline", "reason": "r"})],
            "'a': gates.aml.on_fail: wanted hold or refer",
        ),
        ([scope("a", "online", pep="enforce")], "'a': gates.pep.on_fail: wanted refer"),
        ([scope("a", "online", kyc="off") | {"until": "x"}], r"scopes\.0\.until: is a key that is not known"),
        ([scope(f"s{at}", f"amount = {at}", kyc="off") for at in range(33)], "scopes"),
        (
            [scope("a", f"product IN ({MANY_WORDS}) OR country IN ({MANY_WORDS})", kyc="off")],
            "conditions tell 14884 cases apart, wanted at most 5000",
        ),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_scope_by_which_nobody_may_be_told_apart_or_that_never_holds_is_refused(
    scopes: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ProfileError, match=words):
        scoping(*scopes)


def test_a_scope_in_which_nobody_is_screened_says_who_does() -> None:
    screened = {"scopes": [scope("a", "online", aml="off")], "gates": gated(aml={"state": "enforce"})}
    with pytest.raises(ProfileError, match=r"'a': gates\.aml\.elsewhere: wanted who screens instead"):
        parse_new_profile(json.dumps(plain(**screened)).encode())
    said = screened | {"scopes": [scope("a", "online", aml={"state": "off", "elsewhere": ELSEWHERE})]}
    assert parse_new_profile(json.dumps(plain(**said)).encode()).parts["a"].gate("aml").elsewhere is not None


@pytest.mark.parametrize("when", ["amount > 6e14", "amount < -6e14"])
def test_what_lies_beyond_the_last_value_is_a_number_that_an_application_may_hold(when: str) -> None:
    """Else nobody would see that a gate is turned down there."""
    profile = scoped(scope("a", when, kyc="off"))
    check_scopes(compile_scopes(profile, COLUMNS))
    assert turned_down(profile, scoped(), COLUMNS) == ("kyc in a",)
