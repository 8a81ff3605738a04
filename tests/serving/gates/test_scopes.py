"""Scopes where applications are decided: other gates for some, the strictest where it is not known, and all replayable."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lending import KEY
from tests.serving import golden_decisions as golden
from tests.serving.gated import good_application
from tests.serving.gates.test_gate import says
from tests.serving.http.fakes import KEYS, House, house, posting, small_card, small_release
from tests.serving.http.serving import run
from tests.serving.screening.test_disbursing import NOBODY, SUBJECTS, InForce, of_today

from obligor.core.columns import Column
from obligor.core.errors import ProfileError
from obligor.core.profile import GATES, OTHERWISE, RESULTS, Profile, parse_profile
from obligor.serving.archive import StoredRelease
from obligor.serving.audit.replaying import replay
from obligor.serving.gates.aml import AmlGate
from obligor.serving.releases.release import Release, compile_release
from obligor.serving.releases.releasing import activate, made_release, roll_back
from obligor.serving.rows import ReleaseRow
from obligor.serving.sources import live_sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.serving.acts import Act, Submission

GOOD: Final = good_application() | {"purpose": "car", "channel": "web"}
ONLINE_CAR: Final = {"name": "online-car", "when": "purpose = 'car' AND channel = 'web'"}
BOAT: Final = {"name": "boat", "when": "purpose = 'boat'"}


def profile_of(*scopes: dict[str, Any], **states: Any) -> Profile:
    gates = {name: {"state": states.get(name, "off"), "on_fail": "refer"} for name in GATES}
    return parse_profile(
        json.dumps(
            {
                "name": "by-product",
                "version": 1,
                "gates": gates,
                "scopes": scopes,
                "effective_from": golden.START.isoformat(),
            }
        ).encode()
    )


def gated(**states: str) -> dict[str, Any]:
    return {name: {"state": state, "on_fail": "refer"} for name, state in states.items()}


def release_of(profile: Profile) -> Release:
    card = golden.whole_card()
    return compile_release(7, card=card, policy=golden.policy_of(card), profile=profile)


def lender(profile: Profile, *gates: Any) -> House:
    return house(release=release_of(profile), gates={it.name: it for it in gates})


def records(of: House) -> list[dict[str, Any]]:
    return [json.loads(it.record) for it in of.store.kept]


def test_over_rest_each_application_is_held_to_the_gates_of_its_scope_and_its_record_says_which() -> None:
    """The reason why it is held is not told, nor by which scope: both stand in the record."""
    profile = profile_of(
        ONLINE_CAR | {"gates": gated(kyc="off")}, BOAT | {"gates": gated(aml="monitor")}, kyc="enforce"
    )
    kyc, aml = says("kyc", "fail"), says("aml", "fail")
    of = lender(profile, kyc, aml)

    async def main() -> list[dict[str, Any]]:
        answers = []
        async with of.client() as client:
            for at, said in enumerate((GOOD, GOOD | {"channel": "branch"}, GOOD | {"channel": None})):
                answer = await client.post("/v1/decisions", json=said, headers=posting(f"k-{at}"))
                answers.append(answer.json())
                kept = (await client.get(f"/v1/decisions/{answer.json()['decision_id']}")).json()
                assert {name: kept[name] for name in answer.json()} == answer.json()
            many = {"applications": [GOOD, GOOD | {"channel": "branch"}, GOOD | {"purpose": "boat"}]}
            bulk = await client.post("/v1/decisions/bulk", json=many, headers=posting("k-9"))
            answers += [it["decision"] for it in bulk.json()["results"]]
            tried = await client.post("/v1/simulations", json=GOOD)
            assert (tried.status_code, tried.json()["outcome"]) == (200, "approve")
        return answers

    told = [(it["outcome"], it["because"]) for it in asyncio.run(main())]
    passed, referred = ("approve", "score"), ("refer", "gate:review")
    assert told[:5] == [passed, referred, referred, passed, referred]
    every = records(of)
    assert [it["scopes"] for it in every] == [
        ["online-car"], [OTHERWISE], ["online-car", OTHERWISE], ["online-car"], [OTHERWISE], ["boat"],
    ]  # fmt: skip
    assert [it["gates"]["kyc"]["state"] for it in every] == ["off", *["enforce"] * 2, "off", *["enforce"] * 2]
    assert [it["gates"]["aml"]["result"] for it in every] == [*["not_evaluated"] * 5, "fail"]
    assert (len(kyc.asked), len(aml.asked)) == (4, 1), "nobody is asked what their scope has off"
    for record in every:
        assert replay(record, of.releases.current) == ()


@pytest.mark.parametrize(
    "change", [{"scopes": ["boat"]}, {"scopes": None}, {"gates": {"kyc": {"state": "off", "result": "fail"}}}]
)
def test_a_record_that_names_another_scope_or_its_gates_does_not_follow(change: dict[str, Any]) -> None:
    profile = profile_of(
        ONLINE_CAR | {"gates": gated(kyc="off")}, BOAT | {"gates": gated(kyc="monitor")}, kyc="enforce"
    )
    of = lender(profile, says("kyc", "fail"))
    asyncio.run(of.door.service.decide(KEYS["one"], key="k", application=GOOD | {"channel": "branch"}))
    (record,) = records(of)
    changed = record | change | ({"gates": record["gates"] | change["gates"]} if "gates" in change else {})
    assert [it.field for it in replay(changed, of.releases.current)] == [*change]


def test_where_a_profile_has_no_scopes_a_record_says_nothing_of_them() -> None:
    of = lender(profile_of(kyc="monitor"), says("kyc", "pass"))
    asyncio.run(of.door.service.decide(KEYS["one"], key="k", application=GOOD))
    (record,) = records(of)
    assert "scopes" not in record
    assert replay(record, of.releases.current) == ()
    assert [it.field for it in replay(record | {"scopes": [OTHERWISE]}, of.releases.current)] == ["scopes"]


STATE: Final = st.sampled_from(("off", "monitor", "enforce"))
SOME: Final = st.fixed_dictionaries({}, optional={"kyc": STATE, "aml": STATE, "pep": STATE})


@settings(deadline=None, max_examples=60)
@given(
    *(SOME, SOME, SOME),
    st.fixed_dictionaries(
        {"purpose": st.sampled_from(("car", "auto", "boat", None)), "channel": st.sampled_from(("web", "branch", None))}
    ),
    st.dictionaries(st.sampled_from(("kyc", "aml", "pep")), st.sampled_from(RESULTS)),
)
def test_nobody_is_approved_when_an_enforced_gate_of_their_scope_was_not_evaluated(
    top: dict[str, str], one: dict[str, str], other: dict[str, str], said: dict[str, Any], results: dict[str, Any]
) -> None:
    """A gate that the service has not is not evaluated; whichever scope an application may fit, its gates must pass."""
    profile = profile_of(ONLINE_CAR | {"gates": gated(**one)}, BOAT | {"gates": gated(**other)}, **top)
    of = lender(profile, *(says(name, result) for name, result in results.items()))
    answer = asyncio.run(of.door.service.decide(KEYS["one"], key="k", application=GOOD | said)).response
    (record,) = records(of)
    fits = {
        OTHERWISE: True,
        "online-car": said["purpose"] in ("car", "auto", None) and said["channel"] in ("web", None),
        "boat": said["purpose"] in ("boat", None),
    }
    if said["purpose"] in ("car", "auto") and said["channel"] == "web":
        fits = {"online-car": True}
    elif said["purpose"] == "boat":
        fits = {"boat": True}
    states = {"online-car": top | one, "boat": top | other, OTHERWISE: top}
    stops = {gate for name, may in fits.items() if may for gate, state in states[name].items() if state == "enforce"}
    assert set(record["scopes"]) == {name for name, may in fits.items() if may}
    assert {name for name, it in record["gates"].items() if it["state"] == "enforce"} == stops
    if json.loads(answer)["outcome"] == "approve":
        assert all(results.get(name) == "pass" for name in stops)
    assert replay(record, of.releases.current) == ()


def test_what_a_scope_reads_must_be_said_if_only_as_null_and_what_its_gates_read_may_be() -> None:
    """Also where neither the card nor the policy reads it, and the policy only describes it."""
    small, plain = small_release(), {name: it for name, it in GOOD.items() if name != "channel"}
    policy = small.policy.model_copy(update={"columns": {"country": Column(type="text")}})
    french = {"name": "fr", "when": "country = 'FR'", "gates": gated(aml="enforce")}
    wanted = {201: {}, 422: {"fr": french}}
    for status, scopes in wanted.items():
        profile = profile_of(*scopes.values())
        release = compile_release(1, card=small.card, policy=policy, profile=profile)
        assert ("country" in release.compared) == bool(scopes), "whoever tries changes that"
        of = house(release=release, gates={"aml": says("aml", "pass")})

        async def main(of: House, status: int) -> None:
            async with of.client() as client:
                answer = await client.post("/v1/decisions", json=plain, headers=posting())
                assert (answer.status_code, "country" in answer.text) == (status, status == 422)
                named = plain | {"country": None, "applicant_name": "Jane Example"}
                answer = await client.post("/v1/decisions", json=named, headers=posting("k-2"))
                assert (answer.status_code, "applicant_name" in answer.text) == (623 - status, status == 201)

        run(main(of, status))


def test_before_a_loan_is_paid_out_only_those_are_screened_whose_scope_says_so() -> None:
    lists = InForce(of_today(NOBODY))
    aml = AmlGate(lists, subjects=SUBJECTS)
    off = {"state": "off", "elsewhere": {"system": "Screener", "reference": "POL-7"}}
    of = lender(profile_of(ONLINE_CAR | {"gates": {"aml": off}}, aml="enforce"), aml)

    async def main() -> None:
        async with of.client() as client:
            told = []
            for at, said in enumerate((GOOD, GOOD | {"channel": "branch"})):
                named = said | {"applicant_name": "Oleg Petrovich Korvand"}
                decided = await client.post("/v1/decisions", json=named, headers=posting(f"k-{at}"))
                assert decided.json()["outcome"] == "approve"
                path = f"/v1/decisions/{decided.json()['decision_id']}/screenings"
                answer = await client.post(path, headers={"idempotency-key": f"pay-{at}"})
                told.append((answer.status_code, answer.json().get("result")))
            assert told == [(409, None), (201, "pass")]

    run(main())
    (screened,) = (json.loads(it) for it in of.store.records if b"obligor/screening/1" in it)
    assert screened["profile_sha256"] == of.releases.current.profile.sha256, "and not what holds of it"


def test_a_card_that_does_not_read_what_a_scope_does_is_not_put_in_force() -> None:
    """Nor is a scope that can no longer hold."""
    small = small_release()

    def activated(*scopes: dict[str, Any]) -> Mapping[str, Any]:
        from tests.lending import KEY

        from obligor.serving.sources import live_sources

        release, _ = made_release(
            *(2,),
            card=small_card(),
            policy=small.policy,
            profile=profile_of(*scopes),
            at=datetime.now(UTC),
            by="ada",
            key=KEY,
            sources=live_sources(),
        )
        return release.pins

    car = {"name": "car", "when": "purpose = 'car'", "gates": gated(kyc="enforce")}
    assert activated(car)["profile_sha256"] == profile_of(car).sha256
    with pytest.raises(ProfileError, match=r"'online-car': .*there is no column 'channel'"):
        activated(ONLINE_CAR | {"gates": gated(kyc="enforce")})
    with pytest.raises(ProfileError, match="'again': never holds, since another before it"):
        activated(car, car | {"name": "again"})
    with pytest.raises(ProfileError, match="'who': reads 'customer', which is of the role identifier"):
        activated(car | {"name": "who", "when": "customer = 'c1'"})


@dataclass
class Shelf:
    """Where a release is in force, and another was before."""

    now: Release
    earlier: Release
    acts: list[Act] = field(default_factory=list)

    async def release(self) -> StoredRelease:
        return _kept(self.now)

    async def release_before(self) -> StoredRelease:
        return _kept(self.earlier)

    async def record(self, submission: Submission) -> None:
        self.acts.extend(submission.acts)


def _kept(release: Release) -> StoredRelease:
    given = {"card": release.card, "policy": release.policy, "profile": release.profile}
    _, act = made_release(7, **given, at=golden.START, by="ada", key=KEY, sources=live_sources())  # type: ignore[arg-type]
    (row,) = act.rows
    assert isinstance(row, ReleaseRow)
    return StoredRelease(7, row.statement, row.signature, *(it.body for it in row.artefacts))


@pytest.mark.parametrize("moves", [True, False])
@pytest.mark.parametrize("put", ["activated", "rolled back"])
def test_a_card_that_reads_otherwise_what_a_scope_reads_moves_nobody_into_it(put: str, *, moves: bool) -> None:
    """The gates of an application would change with the card, and no two people would have changed the profile."""
    profile = profile_of(ONLINE_CAR | {"gates": gated(kyc="off")}, kyc="enforce")
    now = release_of(profile)
    tape, update = now.card.applications, {"map": {"boat": "car"}} if moves else {"description": "what it is for"}
    columns = tape.columns | {"purpose": tape.columns["purpose"].model_copy(update=update)}
    card = now.card.model_copy(update={"applications": tape.model_copy(update={"columns": columns})})
    other = compile_release(6, card=card, policy=golden.policy_of(card), profile=profile)
    shelf = Shelf(now, other)
    beside: Any = {"by": "ada", "archive": shelf, "recorder": shelf, "key": KEY, "sources": live_sources()}
    work = (
        activate(card=other.card, policy=other.policy, profile=profile, **beside)
        if put == "activated"
        else roll_back(because="why", check=lambda *_: None, **beside)
    )
    if moves:
        with pytest.raises(ProfileError, match="a scope reads 'purpose', which this card or policy reads otherwise"):
            asyncio.run(work)
    else:
        asyncio.run(work)
    assert len(shelf.acts) == (not moves)
