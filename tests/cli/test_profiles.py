"""`obligor profile` on a real store: two people, a reason, an end to what is turned down, and one profile for each decision."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from tests.lending import caller
from tests.serving import golden_decisions as golden
from tests.stores import as_owner

from obligor.bootstrap.decisions import open_newest, take_newest
from obligor.bootstrap.doors import Readiness
from obligor.bootstrap.releases import Made, put_in_force
from obligor.bootstrap.store import open_store
from obligor.core.errors import ForbiddenError, UnavailableError
from obligor.core.profile import GATES, parse_profile
from obligor.serving.deciding import DecisionService
from obligor.serving.gates.gate import NO_GATES, GateResult
from obligor.serving.probing import Probing
from obligor.serving.releases.profile_changes import Changing
from obligor.serving.releases.release import Releases
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import ProbingSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from obligor.bootstrap.store import Store
    from obligor.core.application import Application

    Call = Callable[..., tuple[int, str, str]]

DAY = timedelta(days=1)


def saying(
    version: int = 2, *, until: datetime | None = None, name: str = "us", scopes: Any = (), **states: str
) -> bytes:
    gates: dict[str, dict[str, Any]] = {gate: {"state": states.get(gate, "off")} for gate in GATES}
    if gates["aml"]["state"] == "off":
        gates["aml"]["elsewhere"] = {"system": "Screener", "reference": "POL-7"}
    start = (datetime.now(UTC) - DAY).isoformat()
    said: dict[str, Any] = {"name": name, "version": version, "gates": gates, "effective_from": start}
    said |= {"scopes": scopes} if scopes else {}
    return json.dumps(said | ({"expires_at": until.isoformat()} if until else {})).encode()


@pytest.fixture
def with_release(url: str, call: Call) -> Call:
    """A store with the golden card in force."""
    assert call("Vera", "releases", "list")[0] == 0  # makes the tables
    card = golden.whole_card()

    async def put(store: Store) -> None:
        await put_in_force(store, Made(card, golden.policy_of(card)))

    with_store(url, put)
    return call


def with_store(url: str, work: Callable[[Store], Any]) -> Any:
    async def main() -> Any:
        async with open_store(url, read_settings(os.environ)) as store:
            return await work(store)

    return asyncio.run(main())


def proposed(call: Call, folder: Path, profile: bytes, *, by: str = "Ada") -> str:
    code, out, err = call(by, "profile", "propose", written(folder, profile), "--because", "A rule changed", "--json")
    assert (code, err) == (0, "")
    return str(json.loads(out)["change_id"])


def written(folder: Path, profile: bytes) -> str:
    file = folder / "profile.json"
    file.write_bytes(profile)
    return str(file)


def test_a_profile_is_proposed_by_one_person_and_approved_by_another(
    with_release: Call, url: str, tmp_path: Path
) -> None:
    change = proposed(with_release, tmp_path, saying(kyc="enforce"))
    before = json.loads(with_release("Ada", "profile", "show", "--json")[1])
    assert with_release("Ada", "audit", "verify")[0] == 0, "a profile that waits is named by its proposal"
    assert before["profile"]["gates"]["kyc"]["state"] == "off"
    for own in ("Ada", " ada ", "ADA"):
        code, _, err = with_release(own, "profile", "approve", change)
        assert code == 1
        assert "another person" in err
    code, out, _ = with_release("Grace", "profile", "approve", change)
    assert (code, out[:21]) == (0, "release 2 is in force")
    shown = json.loads(with_release("Ada", "profile", "show", "--json")[1])
    assert shown["profile"]["gates"]["kyc"]["state"] == "enforce"
    assert [(it["step"], it["by"]) for it in shown["changes"]] == [("approved", "Grace"), ("proposed", "Ada")]
    assert "approved" in with_release("Ada", "profile", "show")[1]
    code, _, err = with_release("Grace", "profile", "approve", change)
    assert (code, "approved before" in err) == (1, True)
    with psycopg.connect(as_owner(url)) as connection:
        kinds = [row[0] for row in connection.execute("SELECT kind FROM obligor.leaf ORDER BY index")]
        assert kinds == ["release", "profile.proposed", "profile.approved", "release"]
        assert with_release("Ada", "audit", "verify")[0] == 0
        connection.execute("UPDATE obligor.profile_change SET by = 'Mallory' WHERE step = 'proposed'")
    code, out, err = with_release("Ada", "audit", "verify")
    assert (code, "profile_change: by is not what the record" in out + err) == (1, True)


def test_a_profile_that_does_not_screen_shows_who_does(with_release: Call, tmp_path: Path) -> None:
    assert "  aml  off, nobody screens\n" in with_release("Ada", "profile", "show")[1]
    change = proposed(with_release, tmp_path, saying(kyc="enforce"))
    assert with_release("Grace", "profile", "approve", change)[0] == 0
    assert "  aml  off, screened elsewhere: Screener, POL-7\n" in with_release("Ada", "profile", "show")[1]
    shown = json.loads(with_release("Ada", "profile", "show", "--json")[1])
    assert shown["profile"]["gates"]["aml"]["elsewhere"] == {"system": "Screener", "reference": "POL-7"}
    assert "elsewhere" not in shown["profile"]["gates"]["kyc"]


CAR: dict[str, Any] = {"name": "car", "when": "purpose = 'car'", "gates": {"kyc": {"state": "monitor"}}}


def test_a_profile_with_scopes_is_shown_as_it_holds_in_each_and_turned_down_in_one_it_needs_an_end(
    with_release: Call, url: str, tmp_path: Path
) -> None:
    up = proposed(with_release, tmp_path, saying(2, kyc="enforce"))
    assert with_release("Grace", "profile", "approve", up)[0] == 0
    file = written(tmp_path, saying(3, kyc="enforce", scopes=[CAR]))
    code, _, err = with_release("Ada", "profile", "propose", file, "--because", "Cars are sold by dealers")
    assert (code, "turns kyc in car down; wanted expires_at" in err) == (2, True), err
    said = saying(3, kyc="enforce", scopes=[CAR], until=datetime.now(UTC) + DAY)
    change = proposed(with_release, tmp_path, said)
    assert with_release("Ada", "profile", "approve", change)[0] == 1, "one's own"
    assert with_release("Grace", "profile", "approve", change)[0] == 0
    shown = with_release("Ada", "profile", "show")[1]
    assert "  kyc  enforce\n" in shown
    assert "  in car, when purpose = 'car'\n    kyc  monitor\n" in shown
    plain = json.loads(with_release("Ada", "profile", "show", "--json")[1])
    assert [it["name"] for it in plain["profile"]["scopes"]] == ["car"]

    async def decide(store: Store) -> list[dict[str, Any]]:
        releases = Releases(store.archive)
        await take_newest(store, releases, NoMeter())
        service, found = _service(store, releases), []
        for at, purpose in enumerate(("car", "boat", None)):
            application = golden.applications(1)[0] | {"purpose": purpose}
            recorded = await service.decide(caller("bank"), key=f"k{at}", application=application)
            stored = await store.archive.decision(UUID(json.loads(recorded.response)["decision_id"]))
            assert stored is not None
            found.append(json.loads(stored.record))
        return found

    records = with_store(url, decide)
    assert [it["scopes"] for it in records] == [["car"], ["otherwise"], ["car", "otherwise"]]
    assert [it["gates"]["kyc"]["state"] for it in records] == ["monitor", "enforce", "enforce"]
    for record in records:
        assert with_release("Ada", "replay", record["decision_id"])[0] == 0
    assert with_release("Ada", "audit", "verify")[0] == 0
    code, out, _ = with_release("Ada", "doctor", "--json")
    assert {it["check"]: it["verdict"] for it in json.loads(out)["checks"]}["I3"] == "ok", out


@pytest.mark.parametrize(
    ("scopes", "words"),
    [
        ([CAR | {"when": "colour = 'red'"}], "there is no column 'colour'"),
        ([CAR | {"when": "customer = 'c1'"}], "'car': reads 'customer', which is of the role identifier"),
        ([CAR, CAR | {"name": "other"}], "'other': never holds, since another before it"),
        ([CAR | {"when": "purpose = 'Car'"}], "'car': never holds, since nothing fits"),
        ([CAR | {"gates": {"pci": {"state": "off"}}}], "gates.pci: wanted none"),
        ([CAR | {"gates": {"aml": {"state": "off"}}}], "who screens instead"),
    ],
    ids=["no column", "a person", "equal", "never", "cards", "nobody screens"],
)
def test_a_scope_that_says_nonsense_is_not_proposed(
    with_release: Call, tmp_path: Path, scopes: list[dict[str, Any]], words: str
) -> None:
    file = written(tmp_path, saying(kyc="enforce", aml="enforce", scopes=scopes))
    code, _, err = with_release("Ada", "profile", "propose", file, "--because", "why not")
    assert (code, words in err) == (2, True), err
    assert json.loads(with_release("Ada", "profile", "show", "--json")[1])["changes"] == []


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (saying(kyc="enforce").replace(b'"kyc"', b'"kyk"', 1), "gates.kyk"),
        (saying(kyc="enforce").replace(b'"version"', b'"versoin"', 1), "versoin"),
        (saying(kyc="enforce").replace(b'"name"', b'"colour": 1, "name"', 1), "colour"),
        (saying(kyc="enforce", until=datetime.now(UTC) - timedelta(hours=1)), "is over"),
        (saying(1, name="everything-off"), "wanted more than 1"),
        (b"{}", "name"),
        (saying(kyc="enforce").replace(b'"elsewhere"', b'"elsewhere": null, "else"'), "gates.aml.else"),
        (
            saying(kyc="enforce").replace(b', "elsewhere": {"system": "Screener", "reference": "POL-7"}', b""),
            "who screens",
        ),
        (
            saying(aml="enforce").replace(b'"enforce"', b'"enforce", "on_fail": "decline", "reason": "r"'),
            "hold or refer",
        ),
    ],
    ids=[
        "unknown gate",
        "mistyped key",
        "unknown key",
        "over",
        "no new version",
        "nothing",
        "mistyped",
        "nobody screens",
        "tipping off",
    ],
)
def test_a_profile_that_says_nonsense_is_not_proposed(
    with_release: Call, tmp_path: Path, profile: bytes, words: str
) -> None:
    code, _, err = with_release("Ada", "profile", "propose", written(tmp_path, profile), "--because", "why not")
    assert code == 2
    assert words in err
    assert json.loads(with_release("Ada", "profile", "show", "--json")[1])["changes"] == []


def test_a_proposal_needs_a_reason(with_release: Call, tmp_path: Path) -> None:
    file = written(tmp_path, saying(kyc="enforce"))
    assert with_release("Ada", "profile", "propose", file)[0] == 2
    assert with_release("Ada", "profile", "propose", file, "--because", "  ")[0] == 2
    assert with_release("Ada", "profile", "propose", file, "--because", "as 4111 1111 1111 1111 asked")[0] == 2


def test_turning_a_gate_down_needs_an_end_and_a_base_that_still_holds(with_release: Call, tmp_path: Path) -> None:
    up = proposed(with_release, tmp_path, saying(2, kyc="enforce"))
    other = proposed(with_release, tmp_path, saying(3, kyc="enforce", aml="monitor"))
    assert with_release("Grace", "profile", "approve", up)[0] == 0
    code, _, err = with_release("Grace", "profile", "approve", other)
    assert (code, "propose it again" in str(err)) == (1, True)
    shown = with_release("Ada", "profile", "show")[1].splitlines()
    assert ["lapsed" in line for line in shown if other in line] == [True]
    assert not any("waits" in line for line in shown)
    code, _, err = with_release(
        "Ada", "profile", "propose", written(tmp_path, saying(4, kyc="monitor")), "--because", "too slow"
    )
    assert (code, "turns kyc down; wanted expires_at" in err) == (2, True)
    down = proposed(with_release, tmp_path, saying(4, kyc="monitor", until=datetime.now(UTC) + DAY))
    assert with_release("Grace", "profile", "approve", down)[0] == 0
    assert with_release("Grace", "profile", "approve", "no-such")[0] == 1


def test_a_card_is_put_in_force_without_another_profile(with_release: Call, url: str) -> None:
    card = golden.whole_card()

    async def put(store: Store) -> None:
        await put_in_force(store, Made(card, golden.policy_of(card)), parse_profile(saying(kyc="enforce")))

    with pytest.raises(ForbiddenError, match="two people"):
        with_store(url, put)


class Passes:
    name: Any = "kyc"

    async def evaluate(self, application: Application, *, at: datetime) -> GateResult:
        await asyncio.sleep(0.001)
        return GateResult("pass")


def _service(store: Store, releases: Releases, gates: Any = NO_GATES) -> DecisionService:
    return DecisionService(
        releases=releases,
        recorder=store.recorder,
        answers=store.archive,
        sources=store.sources,
        meter=NoMeter(),
        gates=gates,
        probing=Probing(
            ProbingSettings(subject_daily=0, alike_hourly=0)
        ),  # the same few applications come again and again
    )


def test_a_flip_during_load_leaves_every_decision_with_one_profile_and_its_rules(with_release: Call, url: str) -> None:
    """F14: enforce without a provider holds, off does not; a decision that mixed two profiles would show."""

    async def flips(store: Store) -> list[dict[str, Any]]:
        releases = Releases(store.archive)
        await take_newest(store, releases, NoMeter())
        service = _service(store, releases, {"kyc": Passes()})
        changing = Changing(store.archive, store.changes, store.recorder, store.key, store.sources)
        records: list[dict[str, Any]] = []

        async def decide(at: int) -> None:
            application = golden.applications(1, seed=at)[0]
            recorded = await service.decide(caller("bank"), key=f"k{at}", application=application)
            stored = await store.archive.decision(UUID(json.loads(recorded.response)["decision_id"]))
            assert stored is not None
            records.append(json.loads(stored.record))

        async def load() -> None:
            for at in range(0, 160, 8):
                await asyncio.gather(*(decide(it) for it in range(at, at + 8)))

        async def flip() -> None:
            row = await changing.propose(saying(2, aml="enforce", kyc="monitor"), because="F14", by="Ada")
            await asyncio.sleep(0.05)
            await changing.approve(row.change_id, by="Grace")
            await take_newest(store, releases, NoMeter())

        await asyncio.gather(load(), flip())
        await asyncio.gather(*(decide(it) for it in range(1000, 1008)))
        return records

    records = with_store(url, flips)
    hashes = {it["pins"]["profile_sha256"] for it in records}
    assert len(hashes) == 2
    off = next(it["pins"]["profile_sha256"] for it in records if it["gates"]["aml"]["state"] == "off")
    for record in records:
        is_off = record["pins"]["profile_sha256"] == off
        assert record["pins"]["release"] == (1 if is_off else 2)
        assert record["gates"]["aml"]["state"] == ("off" if is_off else "enforce")
        assert record["gates"]["kyc"]["result"] == ("not_evaluated" if is_off else "pass")
        assert is_off or record["outcome"] in ("hold", "decline")


def test_of_two_approvals_at_once_one_is_told_that_the_other_was_quicker(with_release: Call, url: str) -> None:
    async def both(store: Store) -> list[object]:
        changing = Changing(store.archive, store.changes, store.recorder, store.key, store.sources)
        row = await changing.propose(saying(2, kyc="enforce"), because="A rule changed", by="Ada")
        approvals = (changing.approve(row.change_id, by=name) for name in ("Grace", "Vera"))
        return await asyncio.gather(*approvals, return_exceptions=True)

    found = with_store(url, both)
    assert sorted(type(it).__name__ for it in found) == ["ClashError", "Release"]


def test_a_profile_that_is_gone_or_changed_or_over_decides_nothing_and_is_not_ready(
    with_release: Call, url: str
) -> None:
    """F12: the row of the profile in force is deleted while a service runs; then it ends."""

    async def works(store: Store) -> None:
        releases = Releases(store.archive)
        await take_newest(store, releases, NoMeter())
        service, ready = _service(store, releases), Readiness(store, releases)
        sha256 = releases.current.profile.sha256
        application = golden.applications(1)[0]
        assert (await ready.states())["profile"]
        with psycopg.connect(as_owner(url), autocommit=True) as connection:
            body = connection.execute("SELECT body FROM obligor.artefact WHERE sha256 = %s", (sha256,)).fetchone()
            assert body is not None
            for change in ("DELETE FROM obligor.artefact", "UPDATE obligor.artefact SET body = '{}'"):
                connection.execute(f"{change} WHERE sha256 = %s", (sha256,))
                await take_newest(store, releases, NoMeter())
                assert not (await ready.states())["profile"]
                with pytest.raises(UnavailableError, match="no longer kept"):
                    await service.decide(caller("bank"), key="k", application=application)
                with pytest.raises(Exception, match=r"artefact|profile"):
                    await open_newest(store)  # nor does a service begin
                connection.execute("DELETE FROM obligor.artefact WHERE sha256 = %s", (sha256,))
                connection.execute("INSERT INTO obligor.artefact VALUES (%s, 'profile', %s)", (sha256, body[0]))
                await take_newest(store, releases, NoMeter())
                assert (await ready.states())["profile"]
        assert not releases.has_profile(datetime(2025, 1, 1, tzinfo=UTC))
        assert (await store.log.size()) == 1

    with_store(url, works)
