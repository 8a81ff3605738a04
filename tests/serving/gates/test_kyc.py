"""KYC: only verified, unexpired evidence of this very person passes; a provider that is down, slow or lying holds (F13)."""

from __future__ import annotations

import asyncio
import hmac
import json
import ssl
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.anchors.certificates import write_certificate
from tests.lending import KEY
from tests.serving.gates.test_gate import GOOD, profile_of, service_of
from tests.serving.http.fakes import KEYS
from tests.serving.los import Los, drop, hang, pour, say

from obligor.adapters.kyc.file import FileKyc
from obligor.adapters.kyc.http import HttpKyc
from obligor.bootstrap.gates import open_gates
from obligor.core.application import Application
from obligor.core.errors import ApplicationError, InvalidInputError, UnavailableError
from obligor.serving.gates.gate import Gating
from obligor.serving.gates.kyc import KycEvidence, KycGate, Person, hashed, read_evidence
from obligor.settings import read_gate_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving.los import Answer

    from obligor.serving.gates.gate import GateResult

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SUBJECT = {"name": "who", "date_of_birth": "born", "address": "lives", "id_number": "document", "evidence": "shown"}
ADA = {"who": "Ada Lovelace", "born": "1815-12-10", "lives": "12 St James's Square, London", "document": "X 123-456"}


def evidence(**said: Any) -> KycEvidence:
    whole = {
        "status": "verified",
        "name": "ADA LOVELACE",
        "date_of_birth": "1815-12-10",
        "address": "12 St. James s Square London".replace("St.", "St"),
        "id_number_sha256": hashed("x123456"),
        "method": "passport",
        "evidence_id": "e-1",
        "verifier": "verifier/1",
        "verified_at": (NOW - timedelta(days=1)).isoformat(),
        "expires_at": (NOW + timedelta(days=30)).isoformat(),
    }
    return read_evidence(json.dumps(whole | said).encode())


@dataclass
class Shows:
    found: KycEvidence | None

    async def check(self, person: Person) -> KycEvidence | None:
        return self.found


@dataclass
class Memory:
    """Keeps for whom evidence was shown, as the store does; ``down`` makes it fail."""

    kept: dict[bytes, bytes] = field(default_factory=dict)
    down: bool = False

    async def whose(self, evidence: bytes, subject: bytes, *, at: datetime) -> bytes:
        if self.down:
            raise UnavailableError("the store does not answer")
        return self.kept.setdefault(evidence, subject)


def gate_of(provider: Any, subject: dict[str, str] = SUBJECT, *, memory: Memory | None = None) -> KycGate:
    return KycGate(provider, subject, memory or Memory(), b"k" * 32)


def judged(found: KycEvidence | None, *, gate: KycGate | None = None, **fields: Any) -> GateResult:
    gate = gate or gate_of(Shows(found))
    return asyncio.run(gate.evaluate(Application({**ADA, **fields}, {}), at=NOW))


def test_verified_evidence_of_this_person_passes_and_tells_no_personal_value() -> None:
    said = judged(evidence())
    assert said.result == "pass"
    assert not any(it in json.dumps(said.evidence) for it in ("Ada", "1815", "James", "123", "e-1"))
    assert said.evidence == {
        "evidence_id": sha256(b"e-1").hexdigest(),
        "method": "passport",
        "verifier": "verifier/1",
        "verified_at": (NOW - timedelta(days=1)).isoformat(),
        "expires_at": (NOW + timedelta(days=30)).isoformat(),
    }
    assert judged(evidence(status="pending")).evidence == {"trouble": "not verified yet", **said.evidence}


@pytest.mark.parametrize("element", ["who", "born", "lives", "document"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_each_of_the_four_elements_it_is_pending(element: str, value: object) -> None:
    lacking: dict[str, Any] = {element: value}
    said = judged(evidence(), **lacking, shown="e-1")
    assert said == ("pending", {"trouble": "lacks", "element": next(it for it in SUBJECT if SUBJECT[it] == element)})
    assert gate_of(AtHand(evidence())).at_once(Application({**ADA, **lacking}, {}), at=NOW) == said


@pytest.mark.parametrize(
    "said",
    [
        {"name": "Ada Byron"},
        {"date_of_birth": "1815-12-11"},
        {"address": "13 St James s Square London"},
        {"id_number_sha256": hashed("X123457")},
    ],
    ids=lambda it: next(iter(it)),
)
def test_evidence_of_another_person_never_passes(said: dict[str, Any]) -> None:
    assert judged(evidence(**said)).evidence["trouble"] == "another person"
    with pytest.raises(ApplicationError, match="another person") as refused:
        judged(evidence(**said), shown="e-1")
    assert refused.value.problems[0].path == ("shown",)
    assert judged(evidence(**said, status="failed")).result == "pending"


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ({"status": "pending"}, "pending"),
        ({"status": "failed"}, "fail"),
        ({"expires_at": (NOW - timedelta(days=1)).isoformat()}, "pending"),
        ({"expires_at": NOW.isoformat()}, "pending"),
        ({"verified_at": (NOW + timedelta(days=1)).isoformat()}, "pending"),
        ({"verified_at": (NOW + timedelta(minutes=1)).isoformat()}, "pass"),
    ],
)
def test_what_is_not_verified_now_does_not_pass(said: dict[str, Any], result: str) -> None:
    assert judged(evidence(**said)).result == result


_NEAR = st.sampled_from([timedelta(minutes=it) for it in (-10, -5, -1, 0, 1, 5, 10)])


@given(_NEAR, _NEAR)
def test_evidence_passes_from_five_minutes_before_it_was_verified_until_it_expires(
    verified: timedelta, expires: timedelta
) -> None:
    found = evidence(verified_at=(NOW + verified).isoformat(), expires_at=(NOW + expires).isoformat())
    holds = verified <= timedelta(minutes=5) and timedelta() < expires and verified < expires
    gate = gate_of(AtHand(found))
    assert (judged(None, gate=gate).result == "pass") == holds
    again = gate.at_once(Application(ADA, {}), at=NOW)  # as it was remembered
    assert (again is not None and again.result == "pass") == holds


def test_no_evidence_or_other_evidence_than_was_brought_is_pending() -> None:
    assert judged(None).evidence == {"trouble": "none"}
    assert judged(evidence(), shown="e-2").evidence["trouble"] == "other evidence"
    assert judged(evidence(), shown="e-1").result == "pass"


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({"name": "Grace Hopper"}, {"who": "Grace Hopper"}),
        ({"date_of_birth": "1906-12-09"}, {"born": "1906-12-09"}),
        ({"id_number_sha256": hashed("Y 1")}, {"document": "Y 1"}),
    ],
    ids=lambda it: next(iter(it)),
)
def test_evidence_is_not_shown_for_two_applicants(shown: dict[str, Any], said: dict[str, Any]) -> None:
    gate = gate_of(Shows(evidence()))
    assert judged(None, gate=gate).result == "pass"
    assert judged(None, gate=gate, who="ada  lovelace").result == "pass"
    gate.provider = Shows(evidence(**shown))
    assert judged(None, gate=gate, **said).evidence["trouble"] == "shown for another applicant"


def test_evidence_that_one_process_saw_is_not_shown_to_another_for_another_applicant() -> None:
    memory = Memory()
    assert judged(None, gate=gate_of(Shows(evidence()), memory=memory)).result == "pass"
    other = gate_of(Shows(evidence(name="Grace Hopper")), memory=memory)
    assert judged(None, gate=other, who="Grace Hopper").evidence["trouble"] == "shown for another applicant"
    assert judged(None, gate=gate_of(Shows(evidence()), memory=memory)).result == "pass"


def test_what_is_kept_of_evidence_tells_nothing_without_the_key() -> None:
    memory = Memory()
    judged(None, gate=gate_of(Shows(evidence()), memory=memory))
    ((shown, whose),) = memory.kept.items()
    assert (len(shown), len(whose)) == (32, 32)
    known = {sha256(b"e-1").digest(), hmac.digest(b"another key", b"e-1", "sha256")}
    assert shown not in known
    assert shown == hmac.digest(b"k" * 32, b"e-1", "sha256")


def test_evidence_that_was_not_verified_is_kept_for_nobody() -> None:
    memory = Memory()
    for said in ({"status": "pending"}, {"status": "failed"}, {"expires_at": NOW.isoformat()}):
        judged(None, gate=gate_of(Shows(evidence(**said)), memory=memory))
    assert memory.kept == {}


@dataclass
class AtHand(Shows):
    """A provider that asks nobody, as a file of evidence."""

    def known(self, person: Person) -> KycEvidence | None:
        return self.found


def test_who_passed_by_evidence_at_hand_passes_at_once_until_it_expires() -> None:
    memory = Memory()
    gate = gate_of(AtHand(evidence()), memory=memory)
    ada = Application(ADA, {})
    assert gate.at_once(ada, at=NOW) is None, "the store must say for whom it was shown first"
    told = asyncio.run(gate.evaluate(ada, at=NOW))
    memory.down = True
    assert gate.at_once(ada, at=NOW) == told
    assert told.result == "pass"
    late = gate.at_once(ada, at=NOW + timedelta(days=30))
    assert late is not None
    assert late.evidence["trouble"] == "expired"
    early = gate.at_once(ada, at=NOW - timedelta(days=2))
    assert early is not None
    assert early.evidence["trouble"] == "of another time"


@pytest.mark.parametrize("behind", [timedelta(hours=1), timedelta(days=2)])
def test_evidence_that_expired_passes_nobody_by_a_clock_that_was_set_back(behind: timedelta) -> None:
    verified, expired = NOW - timedelta(days=9), NOW - timedelta(minutes=30)
    found = evidence(verified_at=verified.isoformat(), expires_at=expired.isoformat())
    gate, application = gate_of(AtHand(found)), Application(ADA, {})
    assert asyncio.run(gate.evaluate(application, at=NOW - behind)).result == "pass", "as far as the clock tells"
    gate.latest = lambda: NOW
    assert asyncio.run(gate.evaluate(application, at=NOW - behind)).evidence["trouble"] == "expired"
    at_once = gate.at_once(application, at=NOW - behind)
    assert at_once is not None
    assert at_once.evidence["trouble"] == "expired"


def test_a_log_that_is_more_than_a_month_ahead_tells_no_time() -> None:
    gate = gate_of(Shows(evidence()))
    gate.latest = lambda: NOW + timedelta(days=32)
    assert judged(evidence(), gate=gate).result == "pass"


def test_what_one_passed_by_does_not_pass_another_at_once() -> None:
    gate = gate_of(AtHand(evidence()))
    judged(None, gate=gate)
    for element, value in (
        ("who", "Grace Hopper"),
        ("born", "1906-12-09"),
        ("lives", "Arlington"),
        ("document", "Y 1"),
    ):
        told = gate.at_once(Application({**ADA, element: value}, {}), at=NOW)
        assert told is not None
        assert told.evidence["trouble"] == "another person"
    gate.provider = gate._prompt = AtHand(evidence(name="Grace Hopper"))
    grace = Application({**ADA, "who": "Grace Hopper"}, {})
    assert gate.at_once(grace, at=NOW) is None
    assert asyncio.run(gate.evaluate(grace, at=NOW)).evidence["trouble"] == "shown for another applicant"
    assert gate.at_once(grace, at=NOW) is None, "it is asked again, and never remembered as passed"


def test_of_a_provider_that_must_be_asked_nothing_is_remembered() -> None:
    shows = Shows(evidence())
    gate = gate_of(shows)
    assert judged(None, gate=gate).result == "pass"
    assert gate.at_once(Application(ADA, {}), at=NOW) is None
    shows.found = evidence(status="failed")
    assert judged(None, gate=gate).result == "fail"


def test_where_the_store_does_not_tell_for_whom_evidence_was_shown_the_decision_holds() -> None:
    subject = {"name": "purpose", "date_of_birth": "applied_on", "address": "purpose", "id_number": "customer"}
    found = evidence(name="car", date_of_birth="2024-05-01", address="car", id_number_sha256=hashed("A-17"))
    shows = Shows(found.model_copy(update={"expires_at": datetime(2100, 1, 1, tzinfo=UTC)}))
    for down, result in ((False, "pass"), (True, "pending")):
        service, store = service_of(profile_of(kyc="enforce"), gate_of(shows, subject, memory=Memory(down=down)))
        asyncio.run(service.decide(KEYS["one"], key="k", application=GOOD))
        assert json.loads(store.kept[0].record)["gates"]["kyc"]["result"] == result


def test_a_gate_without_a_column_for_each_element_is_not_built() -> None:
    with pytest.raises(InvalidInputError, match="wanted a column for each"):
        gate_of(Shows(None), {"name": "who"})
    with pytest.raises(InvalidInputError, match="wanted a column for each"):
        gate_of(Shows(None), {**SUBJECT, "photo": "photo"})


def test_a_file_gives_evidence_by_id_or_by_document(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps([json.loads(evidence().model_dump_json())]))
    provider = FileKyc(file)
    person = Person(ADA["who"], ADA["born"], ADA["lives"], ADA["document"])
    assert asyncio.run(provider.check(person)) == evidence()
    brought = replace(person, evidence_id="e-9")
    assert asyncio.run(provider.check(brought)) is None
    file.write_text('{"a": 1}')
    with pytest.raises(InvalidInputError, match="wanted a JSON list of evidence"):
        FileKyc(file)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and key of ``kyc.example``, signed by itself."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "kyc.pem", "kyc.example")


class Desk(Los):
    """Takes questions, which are of no application."""

    def apply(self, message: dict[str, Any]) -> None:
        """Nothing changes."""


@pytest.fixture
def desk(certificate: Path) -> Iterator[Los]:
    """A provider by HTTPS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with Desk(tls=tls) as it:
        yield it


def of_http(
    desk: Los, certificate: Path, *, address: str = "127.0.0.1", clock: Any = lambda: 0.0, patience_s: float = 0.25
) -> HttpKyc:
    return HttpKyc(
        f"https://kyc.example:{desk.port}/check",
        token="let-me-ask",  # noqa: S106  a word of the test
        patience_s=patience_s,
        tls=ssl.create_default_context(cafile=str(certificate)),
        resolve=lambda *_: [address],
        clock=clock,
    )


def asked(provider: HttpKyc, person: Person, *, times: int = 1) -> list[KycEvidence | None]:
    """Ask so many times, and close."""

    async def ask() -> list[KycEvidence | None]:
        try:
            return [await provider.check(person) for _ in range(times)]
        finally:
            await provider.close()

    return asyncio.run(ask())


def json_answer(body: str, status: int = 200, **headers: str) -> Answer:
    return say(status, body.encode(), **{"Content-Type": "application/json; charset=utf-8"} | headers)


LYING = {
    "200 with HTML": say(200, b"<html>Welcome</html>", **{"Content-Type": "text/html"}),
    "200 of no kind": say(200, evidence().model_dump_json().encode()),
    "HTML that says JSON": json_answer("<html>"),
    "less than evidence": json_answer('{"status": "verified"}'),
    "more than evidence": json_answer(evidence().model_dump_json()[:-1] + ', "photo": "x"}'),
    "a redirect": say(302, Location="https://elsewhere.example"),
    "500": json_answer("{}", 500),
    "too much": json_answer(" " * 100_000),
    "for ever": pour,
    "half": drop,
}


@pytest.mark.parametrize("answer", LYING.values(), ids=LYING)
def test_a_provider_that_is_lying_holds(desk: Los, certificate: Path, answer: Answer) -> None:
    desk.answers = [answer]
    subject = {"name": "purpose", "date_of_birth": "applied_on", "address": "customer", "id_number": "customer"}
    provider = of_http(desk, certificate)
    service, store = service_of(profile_of(kyc="enforce"), gate_of(provider, subject), deadline_s=5.0)  # type: ignore[arg-type]  # it counts nothing

    async def decide() -> dict[str, Any]:
        try:
            return dict(json.loads((await service.decide(KEYS["one"], key="k", application=GOOD)).response))
        finally:
            await provider.close()

    assert asyncio.run(decide())["outcome"] == "hold"
    assert json.loads(store.kept[0].record)["gates"]["kyc"]["evidence"] == {"trouble": "failed"}
    assert desk.answers == []


PERSON = Person(ADA["who"], ADA["born"], ADA["lives"], ADA["document"])


def test_evidence_over_https_passes_and_404_is_none(desk: Los, certificate: Path) -> None:
    desk.answers = [json_answer(evidence().model_dump_json()), json_answer("", 404)]
    assert asked(of_http(desk, certificate), PERSON, times=2) == [evidence(), None]
    assert {it["Authorization"] for it in desk.headers} == {"Bearer let-me-ask"}
    assert json.loads(desk.bodies[0])["id_number_sha256"] == hashed("X 123-456")
    assert not any(b"X 123-456" in it for it in desk.bodies)  # the number goes out as its hash


def test_a_provider_is_waited_for_for_a_quarter_of_a_second(desk: Los, certificate: Path) -> None:
    released = threading.Event()
    desk.answers = [hang(released)]
    with pytest.raises(UnavailableError, match=r"the KYC provider did not answer in 0\.25 s"):
        asked(of_http(desk, certificate), PERSON)
    released.set()


def test_a_provider_that_is_down_or_another_is_not_believed(desk: Los, certificate: Path, tmp_path: Path) -> None:
    other = write_certificate(tmp_path / "other.pem", "elsewhere.example")
    with pytest.raises(UnavailableError, match="the KYC provider did not answer"):
        asked(of_http(desk, other), PERSON)
    desk.port = 9
    with pytest.raises(UnavailableError, match="the KYC provider did not answer"):
        asked(of_http(desk, certificate), PERSON)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "0.0.0.0"])  # noqa: S104  nobody listens there
def test_a_name_that_stands_for_the_surroundings_is_not_asked(desk: Los, certificate: Path, address: str) -> None:
    with pytest.raises(UnavailableError, match="an address that is refused here"):
        asked(of_http(desk, certificate, address=address), PERSON)
    assert desk.bodies == []


def test_a_gate_tells_whether_its_provider_answered_when_it_was_asked_last() -> None:
    class Fails:
        async def check(self, person: Person) -> KycEvidence | None:
            raise UnavailableError("the KYC provider did not answer in 0.25 s")

    gate, good = gate_of(Fails()), Shows(None)
    assert gate.well
    with pytest.raises(UnavailableError):
        judged(None, gate=gate)
    assert not gate.well
    gate.provider = good
    judged(None, gate=gate)
    assert gate.well, "that there is no evidence is an answer"


def test_a_provider_that_does_not_answer_within_the_deadline_of_the_gates_is_told_as_down_and_rests(
    desk: Los, certificate: Path
) -> None:
    released = threading.Event()
    desk.answers = [hang(released)] * 5
    settings = read_gate_settings({"OBLIGOR_GATE_MS": "900"})
    provider = of_http(desk, certificate, patience_s=settings.provider_s)
    gate = gate_of(provider)  # type: ignore[arg-type]  # it counts nothing
    gating = Gating({"kyc": gate}, deadline_s=settings.deadline_s)

    async def late() -> tuple[bool, str]:
        try:
            for _ in range(5):
                judged = await gating.judge(Application(ADA, {}), profile_of(kyc="enforce"), at=NOW)
                assert judged.results == {"kyc": "pending"}
            with pytest.raises(UnavailableError, match="rests after failures"):
                await provider.check(PERSON)
            return gate.well, json.loads(bytes(judged.evidence["kyc"]))["trouble"]
        finally:
            released.set()
            await provider.close()

    assert asyncio.run(late()) == (False, "failed")


def test_whoever_hangs_up_says_nothing_of_the_provider() -> None:
    class Hangs:
        async def check(self, person: Person) -> KycEvidence | None:
            await asyncio.Event().wait()
            return None

    gate = gate_of(Hangs())

    async def cut_off() -> None:
        asked = asyncio.ensure_future(gate.evaluate(Application(ADA, {}), at=NOW))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()

    asyncio.run(cut_off())
    assert gate.well


def test_after_five_failures_the_provider_is_not_asked_for_ten_seconds(desk: Los, certificate: Path) -> None:
    desk.answers = [json_answer("{}", 500)] * 6
    now = [0.0]
    provider = of_http(desk, certificate, clock=lambda: now[0])

    async def ask(times: int) -> None:
        for _ in range(times):
            with pytest.raises(UnavailableError):
                await provider.check(PERSON)

    async def run() -> None:
        await ask(8)
        assert len(desk.bodies) == 5
        now[0] = 10.0
        await ask(1)
        assert len(desk.bodies) == 6
        await provider.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "url", ["http://kyc.example", "https://", "https://user:pass@kyc.example", "ftp://kyc.example"]
)
def test_a_provider_is_asked_over_https_alone(url: str) -> None:
    with pytest.raises(InvalidInputError, match="wanted an https:// address"):
        HttpKyc(url, token="", patience_s=0.25)


def test_gates_are_built_from_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_text("[]")
    columns = ",".join(f"{name}={column}" for name, column in SUBJECT.items())

    class Log:
        async def latest(self) -> datetime:
            return NOW

    store: Any = SimpleNamespace(key=KEY, evidences=Memory(), log=Log())

    async def names(**environ: str) -> list[str]:
        async with open_gates(read_gate_settings(environ), store) as gates:
            return list(gates)

    assert asyncio.run(names()) == []
    assert asyncio.run(names(OBLIGOR_KYC=str(file), OBLIGOR_KYC_SUBJECT=columns)) == ["kyc"]
    assert asyncio.run(names(OBLIGOR_KYC="https://kyc.example", OBLIGOR_KYC_SUBJECT=columns)) == ["kyc"]

    async def waits(**environ: str) -> float:
        async with open_gates(read_gate_settings(environ), store) as gates:
            provider: Any = gates["kyc"]
            return float(provider.provider._outgoing._patience_s)

    assert asyncio.run(waits(OBLIGOR_KYC="https://kyc.example")) == 0.25
    assert asyncio.run(waits(OBLIGOR_KYC="https://kyc.example", OBLIGOR_GATE_MS="600")) == 0.5
    assert asyncio.run(names(OBLIGOR_KYC=str(file))) == ["kyc"]  # by the fields that every application may have
    with pytest.raises(InvalidInputError, match="wanted a column for each"):
        asyncio.run(names(OBLIGOR_KYC=str(file), OBLIGOR_KYC_SUBJECT="name=who"))
    with pytest.raises(InvalidInputError, match="OBLIGOR_KYC_SUBJECT"):
        read_gate_settings({"OBLIGOR_KYC_SUBJECT": "name"})
    assert read_gate_settings({"OBLIGOR_GATE_MS": "250"}).deadline_s == 0.25
