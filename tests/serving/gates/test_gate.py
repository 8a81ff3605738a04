"""Gates: whatever they say or fail to say, nobody is approved against one that is enforced, and nobody is told which it was."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.http.fakes import KEYS, PLAIN, MemoryStore, small_release

from obligor.core.application import Application
from obligor.core.errors import ApplicationError, UnavailableError
from obligor.core.profile import GATES, RESULTS, Gates, Profile
from obligor.core.profile import Gate as Toggle
from obligor.serving.archive import Search
from obligor.serving.audit.replaying import replay
from obligor.serving.deciding import DecisionService
from obligor.serving.gates.gate import NOT_JUDGED, GateResult, Gating, told_outside
from obligor.serving.register import Register
from obligor.serving.releases.release import Releases, compile_release
from obligor.serving.sources import live_sources
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from obligor.core.decision import Decision
    from obligor.core.profile import GateRecord
    from obligor.core.scorer import Score
    from obligor.serving.archive import StoredDecision
    from obligor.serving.gates.gate import Gate
    from obligor.serving.releases.release import Release
    from obligor.serving.telemetry.meter import Meter

GOOD = {**PLAIN, "amount": 2000.0, "income": 5000}
POOR = PLAIN
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Says:
    """A gate that does as it is told, and counts how often it was asked."""

    name: Any
    does: Callable[[], Awaitable[Any]]
    asked: list[Application] = field(default_factory=list)

    async def evaluate(self, application: Application, *, at: datetime) -> Any:
        self.asked.append(application)
        return await self.does()


def says(name: str, result: Any, **evidence: object) -> Says:
    async def answer() -> Any:
        return GateResult(result, evidence)

    return Says(name, answer)


def profile_of(*, until: datetime | None = None, **states: Any) -> Profile:
    every: dict[Any, Toggle] = {name: Toggle(state="off") for name in GATES}
    every |= {name: it if isinstance(it, Toggle) else Toggle(state=it) for name, it in states.items()}
    return Profile(name="us", version=1, gates=Gates(**every), effective_from=START, expires_at=until)


def release_of(profile: Profile, number: int = 1) -> Release:
    small = small_release()
    return compile_release(number, card=small.card, policy=small.policy, profile=profile)


def service_of(
    profile: Profile,
    *gates: Says,
    store: MemoryStore | None = None,
    deadline_s: float = 0.05,
    meter: Meter | None = None,
) -> tuple[DecisionService, MemoryStore]:
    store = store or MemoryStore()
    releases = Releases(store)
    releases.take(release_of(profile))
    named: Mapping[Any, Gate] = {it.name: it for it in gates}
    service = DecisionService(
        releases=releases,
        recorder=store,
        answers=store,
        sources=live_sources(),
        meter=meter or NoMeter(),
        gates=named,
        gate_deadline_s=deadline_s,
    )
    return service, store


def register_of(service: DecisionService, store: MemoryStore) -> Register:
    """Give a register of decisions that shows whole receipts."""
    releases = Releases(store)
    releases.take(service.release)
    return Register(archive=store, receipts=ShowsAll(), releases=releases, recorder=store, sources=live_sources())


def decided(
    profile: Profile, *gates: Says, application: Mapping[str, object] = GOOD
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Decide, and give the answer and the record."""
    service, store = service_of(profile, *gates)

    async def decide() -> bytes:
        return (await service.decide(KEYS["one"], key="k", application=application)).response

    answer = json.loads(asyncio.run(decide()))
    record = json.loads(store.kept[-1].record)
    assert replay(record, service.release) == ()
    return answer, record


async def _sleeps() -> Any:
    await asyncio.sleep(30)


async def _sleeps_through_being_stopped() -> Any:
    for _ in range(2):
        try:
            await asyncio.sleep(0.3)
        except asyncio.CancelledError:
            continue
    return GateResult("pass")


async def _breaks() -> Any:
    raise RuntimeError("Mr Smith is on a list")


async def _is_down() -> Any:
    raise UnavailableError("the provider does not answer")


async def _says_html() -> Any:
    return "<html>200 OK</html>"


async def _says_yes() -> Any:
    return GateResult("yes")  # type: ignore[arg-type]  # on purpose


async def _shows_what_is_no_data() -> Any:
    return GateResult("pass", {"photo": object()})


async def _shows_too_much() -> Any:
    return GateResult("pass", {"photo": "x" * 100_000})


async def _shows_what_has_no_end() -> Any:
    endless: list[object] = []
    endless.append(endless)
    return GateResult("pass", {"photo": endless})


async def _says_nothing() -> Any:
    return None


async def _gives_up() -> Any:
    raise asyncio.CancelledError


async def _refuses() -> Any:
    raise ApplicationError("evidence: is another person's")


FAILING: dict[str, tuple[Callable[[], Awaitable[Any]], str]] = {
    "late": (_sleeps, "late"), "late and stubborn": (_sleeps_through_being_stopped, "late"),
    "gives up": (_gives_up, "late"), "broken": (_breaks, "failed"), "down": (_is_down, "failed"),
    "nothing": (_says_nothing, "nonsense"), "html": (_says_html, "nonsense"), "yes": (_says_yes, "nonsense"),
    "no data": (_shows_what_is_no_data, "nonsense"), "too much": (_shows_too_much, "nonsense"),
    "no end": (_shows_what_has_no_end, "nonsense"),
}  # fmt: skip


def test_the_good_applicant_is_approved_where_nothing_is_gated() -> None:
    gate = says("kyc", "fail")
    answer, record = decided(profile_of(), gate)
    assert (answer["outcome"], answer["because"]) == ("approve", "score")
    assert gate.asked == []
    assert record["gates"] == {name: {"state": "off", "result": "not_evaluated"} for name in GATES}


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize(("failing", "trouble"), FAILING.values(), ids=FAILING)
def test_an_enforced_gate_that_does_not_answer_as_it_should_holds(name: str, failing: Any, trouble: str) -> None:
    enforced: Any = {name: "enforce"}
    answer, record = decided(profile_of(**enforced), Says(name, failing))
    assert (answer["outcome"], answer["because"], answer["reasons"]) == ("hold", "gate:review", [])
    assert record["because"] == f"gate:{name}:pending"
    assert record["gates"][name]["result"] == "pending"
    assert record["gates"][name]["evidence"] == {"trouble": trouble}
    assert "Smith" not in json.dumps(record)


@pytest.mark.parametrize("failing", [it for it, _ in FAILING.values()], ids=FAILING)
def test_a_monitored_gate_changes_nothing_whatever_it_does(failing: Any) -> None:
    answer, record = decided(profile_of(aml="monitor"), Says("aml", failing))
    assert (answer["outcome"], answer["because"]) == ("approve", "score")
    assert record["gates"]["aml"]["result"] == "pending"


def test_an_enforced_gate_that_the_service_has_not_holds() -> None:
    answer, record = decided(profile_of(kyc="enforce"))
    assert (answer["outcome"], answer["because"]) == ("hold", "gate:review")
    assert record["gates"]["kyc"] == {"state": "enforce", "result": "not_evaluated"}


@given(
    st.fixed_dictionaries({name: st.sampled_from(("off", "monitor", "enforce")) for name in GATES}),
    st.fixed_dictionaries({name: st.sampled_from((*RESULTS, None)) for name in GATES}),
    st.sampled_from(("hold", "refer")),
)
def test_nobody_is_approved_unless_every_enforced_gate_passes(
    states: dict[str, str], results: dict[str, Any], on_fail: Any
) -> None:
    toggles: dict[str, Any] = {name: Toggle(state=it, on_fail=on_fail) for name, it in states.items()}  # type: ignore[arg-type]  # a state
    answer, record = decided(profile_of(**toggles), *(says(name, it) for name, it in results.items() if it is not None))
    results |= {"pci": results["pci"] or "pass"}  # the service searches every request itself
    passed = all(results[name] == "pass" for name, state in states.items() if state == "enforce")
    assert (answer["outcome"] == "approve") == passed
    for name in GATES:
        said = results[name] if states[name] != "off" and results[name] else "not_evaluated"
        assert record["gates"][name]["result"] == said


def test_gates_are_asked_at_the_same_time() -> None:
    async def all_of_them() -> dict[str, Any]:
        met = asyncio.Barrier(3)

        async def meets() -> Any:
            await met.wait()  # only once every gate is being asked
            return GateResult("pass")

        service, _ = service_of(
            profile_of(kyc="enforce", aml="enforce", pci="enforce"),
            *(Says(name, meets) for name in GATES),
            deadline_s=5,
        )
        return dict(json.loads((await service.decide(KEYS["one"], key="k", application=GOOD)).response))

    assert asyncio.run(all_of_them())["outcome"] == "approve"


def test_whoever_is_late_is_stopped() -> None:
    stopped: list[bool] = []

    async def waits() -> Any:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    async def decide() -> None:
        service, _ = service_of(profile_of(kyc="enforce"), Says("kyc", waits))
        await service.decide(KEYS["one"], key="k", application=GOOD)
        await asyncio.sleep(0)
        assert stopped == [True]

    asyncio.run(decide())


def test_what_a_gate_shows_stands_in_the_record_and_nowhere_else() -> None:
    answer, record = decided(profile_of(aml="enforce"), says("aml", "fail", snapshot="sdn-7", algorithm="a/1"))
    assert record["gates"]["aml"] == {
        "state": "enforce", "result": "fail", "evidence": {"snapshot": "sdn-7", "algorithm": "a/1"},
    }  # fmt: skip
    assert "sdn-7" not in json.dumps(answer)


def test_an_enforced_gate_that_finds_the_application_at_fault_refuses_it() -> None:
    service, store = service_of(profile_of(kyc="enforce"), Says("kyc", _refuses))
    with pytest.raises(ApplicationError, match="another person's"):
        asyncio.run(_decide(service, GOOD))
    assert store.leaves == []
    answer, record = decided(profile_of(kyc="monitor"), Says("kyc", _refuses))
    assert answer["outcome"] == "approve"
    assert record["gates"]["kyc"]["result"] == "pending"


async def _decide(service: DecisionService, application: Mapping[str, object]) -> dict[str, Any]:
    return dict(json.loads((await service.decide(KEYS["one"], key="k", application=application)).response))


def test_of_many_applications_each_is_judged_by_itself() -> None:
    class OnlyTheCar:
        name: Any = "kyc"

        async def evaluate(self, application: Application, *, at: datetime) -> GateResult:
            if application.fields["customer"] == "A-2":
                raise ApplicationError("evidence: is another person's")
            return GateResult("pass" if application.fields["customer"] == "A-1" else "fail")

    service, _ = service_of(profile_of(kyc="enforce"), OnlyTheCar())  # type: ignore[arg-type]  # it counts nothing
    many = [{**GOOD, "customer": f"A-{it}", "bureau": []} for it in range(1, 4)]
    many.append({"nonsense": 1})

    async def decide() -> list[dict[str, Any]]:
        recorded = await service.decide_many(KEYS["one"], key="k", applications=many)
        return list(json.loads(recorded.response)["results"])

    first, second, third, last = asyncio.run(decide())
    assert first["decision"]["outcome"] == "approve"
    assert second["problem"]["status"] == 422
    assert third["decision"]["outcome"] == "hold"
    assert last["problem"]["status"] == 422


def test_of_many_applications_each_is_decided_or_refused_by_itself_where_nothing_is_gated() -> None:
    gating = Gating({"kyc": says("kyc", "fail")})
    read, wrong = Application({"customer": "A-1"}, {}), ApplicationError("nonsense")
    judged = asyncio.run(gating.judge_many([read, wrong], profile_of(), at=START))
    assert judged == [NOT_JUDGED, wrong]


def test_nobody_is_asked_by_a_profile_that_is_not_in_force() -> None:
    gate = says("kyc", "pass")
    service, store = service_of(profile_of(kyc="enforce", until=START + timedelta(days=1)), gate)
    with pytest.raises(UnavailableError, match="no longer in force"):
        asyncio.run(_decide(service, GOOD))
    assert gate.asked == []
    assert store.leaves == []


def test_a_simulation_asks_no_gate() -> None:
    gate = says("kyc", "pass")
    service, _ = service_of(profile_of(kyc="monitor"), gate)
    assert service.simulate(KEYS["one"], GOOD)["outcome"] == "approve"
    enforced, _ = service_of(profile_of(kyc="enforce"), gate)
    assert enforced.simulate(KEYS["one"], GOOD)["because"] == "gate:review"
    assert gate.asked == []


def test_only_a_decline_says_which_gate_it_was() -> None:
    for name, result, outcome in product(GATES, RESULTS, ("hold", "refer")):
        assert told_outside(f"gate:{name}:{result}", outcome) == "gate:review"
    assert told_outside("gate:kyc:fail", "decline") == "gate:kyc:fail"
    assert told_outside("gate:aml:fail", "decline") == "gate:review"  # which no profile says, and nobody may learn
    assert told_outside("score", "decline") == "score"
    toggle = Toggle(state="enforce", on_fail="decline", reason="Unable to verify identity")
    answer, _ = decided(profile_of(kyc=toggle), says("kyc", "fail"))
    assert (answer["outcome"], answer["because"]) == ("decline", "gate:kyc:fail")
    assert answer["reasons"] == [{"code": "kyc", "text": "Unable to verify identity"}]


def test_a_gate_lifts_no_decline() -> None:
    answer, _ = decided(profile_of(aml="enforce"), says("aml", "fail"), application=POOR)
    assert (answer["outcome"], answer["because"]) == ("decline", "score")


OFFICER = replace(
    KEYS["auditor"],
    client_id="person:cora",
    key_id="",
    kind="person",
    scopes=frozenset(),
    roles=frozenset({"compliance"}),
)
WORDS = ("aml", "sanction", "sdn-7", "alert", "screen", "watch list", "laundering")


def test_nobody_is_tipped_off_by_anything_that_is_told_outside() -> None:
    """F44: of a hit nothing is in answers, searches, explanations or receipts, and a miss looks the same."""
    of_result: dict[str, list[str]] = {}
    for result in ("pass", "fail", "pending"):
        service, store = service_of(profile_of(aml="enforce"), says("aml", result, snapshot="sdn-7", hits=["sdn-7"]))
        register = register_of(service, store)

        async def told(
            service: DecisionService = service, register: Register = register, store: MemoryStore = store
        ) -> list[str]:
            answer = await _decide(service, GOOD)
            decision_id, own = store.kept[0].decision_id, KEYS["one"]
            found = await register.search(own, Search())
            return [
                json.dumps(it)
                for it in (
                    answer,
                    await register.decision(own, decision_id),
                    found.decisions,
                    await register.explanation(own, decision_id),
                    await register.receipt(own, decision_id),
                )
            ]

        of_result[result] = asyncio.run(told())
        assert not [word for word in WORDS for it in of_result[result] if word in it.lower()]
        audited = asyncio.run(register.receipt(OFFICER, store.kept[0].decision_id))
        assert f"gate:aml:{result}" in audited["record"] or result == "pass"
        assert "record" not in json.loads(of_result[result][-1])
    held, late = (json.loads(of_result[it][0]) for it in ("fail", "pending"))
    assert {held[it] for it in ("outcome", "because")} == {late[it] for it in ("outcome", "because")}


def test_a_receipt_shows_the_record_where_nothing_is_screened() -> None:
    service, store = service_of(profile_of(kyc="enforce"), says("kyc", "pass"))
    register = register_of(service, store)

    async def told() -> dict[str, Any]:
        await _decide(service, GOOD)
        return await register.receipt(KEYS["one"], store.kept[0].decision_id)

    assert "record" in asyncio.run(told())


class ShowsAll:
    async def receipt(self, stored: StoredDecision) -> dict[str, Any]:
        return {"index": stored.leaf_index, "record": stored.record.decode(), "salt": stored.salt.hex()}


@dataclass
class Gated(NoMeter):
    """Keeps what it is told of gates."""

    told: list[tuple[GateRecord, ...]] = field(default_factory=list)

    def decided(self, score: Score, decision: Decision, unusual: Iterable[str]) -> None:
        self.told.append(tuple(decision.gates.values()))


def test_every_durable_decision_counts_its_gates_once() -> None:
    meter = Gated()
    service, _ = service_of(profile_of(kyc="monitor"), says("kyc", "fail"), meter=meter)

    async def decide() -> None:
        for _ in range(2):  # the second is a replay of the first
            await service.decide(KEYS["one"], key="k", application=GOOD)
        await service.decide_many(KEYS["one"], key="m", applications=[GOOD, {"amount": "none"}])

    asyncio.run(decide())
    off = ("off", "not_evaluated")
    assert meter.told == [(("monitor", "fail"), off, off, off)] * 2
