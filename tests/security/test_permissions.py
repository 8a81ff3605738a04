"""Who may do what: the table of permissions, and how far each goes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from obligor.core.errors import ForbiddenError, InvalidInputError
from obligor.security import permissions as table
from obligor.security.permissions import Allowance, allow, allow_person, may, permissions, read_permissions
from obligor.serving.acts import Caller

LATER = datetime(2100, 1, 1, tzinfo=UTC)
TEXT = Path(table.__file__).with_name("permissions.yaml").read_text("utf-8")


def person(*roles: str, strong: bool = False) -> Caller:
    return Caller(
        "person:ada", "", frozenset(), LATER, kind="person", roles=frozenset(roles), subject="ada", strong=strong
    )


def client(*scopes: str) -> Caller:
    return Caller("lender", "k1", frozenset(scopes), LATER)


def test_the_table_under_configs_is_the_one_that_is_shipped() -> None:
    assert (Path(__file__).parents[2] / "configs" / "permissions.yaml").read_text("utf-8") == TEXT


def test_nobody_may_do_anything_without_a_role_or_a_scope() -> None:
    for permission, nobody in product(permissions().permissions, (person(), client(), person("chairman"))):
        assert not may(nobody, permission)


def test_an_analyst_reads_what_is_their_own_and_masked() -> None:
    assert allow(person("analyst"), "application.read") == Allowance(own=True, masked=True)


def test_of_two_roles_counts_the_one_that_goes_farther() -> None:
    assert allow(person("analyst", "senior_officer"), "decision.read") == Allowance()


def test_an_api_key_reads_its_own_decisions_and_an_auditors_key_everybodys() -> None:
    assert allow(client("read"), "decision.read").own
    assert not allow(client("read", "audit"), "decision.read").own


def test_who_approves_and_who_manages_users_do_it_with_a_second_person() -> None:
    for role, permission in (
        ("risk_officer", "release.activate"),
        ("compliance", "profile.approve"),
        ("privacy_officer", "privacy.erase"),
        ("admin", "role.grant"),
    ):
        assert allow(person(role, strong=True), permission).second


def test_every_area_of_acts_is_one_that_acts_are_of() -> None:
    source = Path(table.__file__).parents[1]
    said = "".join(it.read_text("utf-8") for it in source.rglob("*.py"))
    for area in frozenset[str]().union(*permissions().acts.values()):
        assert re.search(rf"\"{area}(\.[a-z]+)*\"", said), area


def test_no_api_key_approves_reveals_or_erases() -> None:
    everything = client(*permissions().scopes)
    for permission in permissions().step_up:
        with pytest.raises(ForbiddenError):
            allow(everything, permission)


def test_what_a_person_does_no_system_does_with_the_same_role() -> None:
    assert allow_person(person("analyst"), "review.read") == "ada"
    system = Caller("system", "", frozenset(), LATER, roles=frozenset({"analyst"}), subject="system")
    assert may(system, "review.read")
    with pytest.raises(ForbiddenError, match="for a person, who signs in"):
        allow_person(system, "review.read")
    with pytest.raises(ForbiddenError, match="the role admin"):
        allow_person(person("analyst"), "user.manage")


def test_to_approve_reveal_or_erase_asks_for_a_second_factor() -> None:
    for permission in permissions().step_up:
        role = next(name for name, held in permissions().roles.items() if permission in held)
        with pytest.raises(ForbiddenError, match="second factor"):
            allow(person(role), permission)
        allow(person(role, strong=True), permission)


@pytest.mark.parametrize("pair", sorted(map(sorted, permissions().conflicts)))
def test_who_holds_roles_that_nobody_holds_together_may_do_nothing(pair: list[str]) -> None:
    for permission in permissions().permissions:
        assert not may(person(*pair, strong=True), permission)


@pytest.mark.parametrize(
    ("said", "instead", "problem"),
    [
        ("decision.decide: Submit", "decision.decide: Two\n  decision.decide: Submit", "decision.decide stands twice"),
        ("step_up: [", "step_up: [decision.dream, ", "is not one of those listed"),
        ("GET /metrics: metrics.read", "GET /metrics: metrics.reed", "is not one of those listed"),
        ("    decision.read: own", "    decision.read: owned", "wanted allowed"),
        ("    decision.read: own", "    decision.read: [own, own]", "wanted allowed"),
        ("    decision.read: own", "    decision.read: []", "wanted allowed"),
        ("    decision.read: own", "    decision.reed: own", "decision.reed is not one of those listed"),
        ("    outcome.report: own", "    outcome.reported: own", "outcome.reported is not one of those listed"),
        ("  Decide: decision.decide", "  Decide: decision.dice", "decision.dice is not one of those listed"),
        ("  report:\n", "  audits:\n", "wanted the scopes"),
        ("    outcome.report: own\n    review", "    privacy.erase: own\n    review", "only a person may do"),
        ("    outcome.report: own\n    review", "    outcome.report: second\n    review", "only a person may do"),
        ("[admin, compliance]", "[admin, chairman]", "two of the roles"),
        ("  validator: [release]", "  auditor: [release]", "acts of auditor: wanted a role that reads its own"),
        ("  validator: [release]", "  operator: [release]", "acts of operator: wanted a role that reads its own"),
        ("  validator: [release]", "  chairman: [release]", "acts of chairman: wanted a role that reads its own"),
        ("[admin, compliance]", "[admin]", "two of the roles"),
        ("[admin, compliance]", "[admin, compliance, analyst]", "two of the roles"),
        ("\nroles:\n", "\nroles: 7\nunknown:\n", "unknown: is a key"),
        ("\nconflicts:\n", "\nconflicts: 7\nunknown:\n", "unknown: is a key"),
        ("step_up: [", "step_up: 7  # [", "step_up: "),
        ("schema: obligor/permissions/1", "schema: obligor/permissions/2", "permissions/1"),
        ("step_up:", "unknown: 1\nstep_up:", "unknown: is a key that is not known"),
        ("step_up: [", "step_up: &it [*it, ", "alias"),
    ],
)
def test_a_table_that_says_something_unknown_is_refused(said: str, instead: str, problem: str) -> None:
    assert said in TEXT
    assert read_permissions(TEXT) == permissions()
    before, _, after = TEXT.rpartition(said) if "report" in said else TEXT.partition(said)
    with pytest.raises(InvalidInputError, match=problem):
        read_permissions(before + instead + after)


def test_whichever_way_roles_are_named_the_permission_that_goes_farther_counts() -> None:
    roles = {"a": "own", "b": "[masked, second]", "c": "masked", "d": "second", "e": "[own, masked, second]"}
    roles |= {f"{how}{number}": how for how in ("own", "masked") for number in range(4)}
    said = "".join(f"  {name}:\n    decision.read: {how}\n" for name, how in roles.items())
    more = read_permissions(TEXT.replace("\nroles:\n", f"\nroles:\n{said}"))

    def farther(*named: str) -> Allowance:
        return more.held(roles=frozenset(named), scopes=frozenset())["decision.read"]

    assert farther(*roles) == farther("d") == Allowance(second=True)
    assert farther("a", "b") == farther("a") == Allowance(own=True)
    alike = [f"{name}{number}" for name in ("own", "masked") for number in range(4)]
    assert {farther(one, other) for one, other in product(alike[:4], alike[4:])} == {Allowance(masked=True)}
    assert farther("b", "e") == farther("b")


def test_a_role_may_give_nothing_and_what_is_no_role_or_scope_gives_nothing() -> None:
    more = read_permissions(TEXT.replace("\nroles:\n", "\nroles:\n  guest:\n"))
    for roles, scopes in (({"guest"}, set()), ({"chairman"}, {"root"})):
        assert more.held(roles=frozenset(roles), scopes=frozenset(scopes)) == {}


def test_a_refusal_names_the_scope_and_the_roles_and_nothing_of_the_caller() -> None:
    with pytest.raises(ForbiddenError) as caught:
        allow(client("report"), "metrics.read")
    assert str(caught.value) == "this needs an API key with the scope metrics, or the role operator"
    for caller, permission, told in (
        (client("report"), "user.manage", "this needs the role admin"),
        (
            person("privacy_officer"),
            "privacy.erase",
            "this needs a second factor; sign in with it and send the request again",
        ),
        (
            person("admin", "compliance"),
            "user.read",
            "the roles admin and compliance are held together, which nobody may",
        ),
    ):
        with pytest.raises(ForbiddenError) as caught:
            allow(caller, permission)
        assert str(caught.value) == told
