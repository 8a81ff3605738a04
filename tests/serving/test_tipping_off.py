"""Nobody learns of a screening hit: no applicant, underwriter or client's system, by what is told or by what is not.

Three people apply with the same figures: one who is on the list, one whom nobody can compare, one who is on no list. The first
two are held alike, and what each door tells of them differs in ids and times alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest
from tests.screening.lists import SNAPSHOT
from tests.serving.gated import good_application, release_of
from tests.serving.http.fakes import LATER, Alerts, House, house, posting
from tests.serving.http.serving import run
from tests.serving.test_doors import Doors, both

from obligor.core.errors import NotFoundError, UnauthenticatedError
from obligor.core.event_types import EVENT_TYPES
from obligor.core.policy import parse_policy
from obligor.screening.screener import Screener
from obligor.serving.acts import Caller
from obligor.serving.audit.replaying import replay
from obligor.serving.gates.aml import AmlColumns, AmlGate, Clearances, Subjects
from obligor.serving.http import alert_shapes as shapes
from obligor.serving.privacy.telling import told_to_the_subject
from obligor.serving.releases.release import compile_release
from obligor.serving.rows import AlertReportRow, WebhookRow, YearlyReportRow
from obligor.serving.screening.alert_steps import Clearance, Confirmation, StoredAlert
from obligor.serving.screening.desk import AlertDesk
from obligor.serving.screening.reports import Report
from obligor.serving.sources import live_sources
from obligor.serving.webhooks.events import Listeners

if TYPE_CHECKING:
    import httpx

    from obligor.serving.screening.alert_steps import Said

WORDS: Final = re.compile(
    r"aml|sanction|screen|korvand|oleg|ofac|sdn|1001|invented-1|watch|terror|laundering|suspicious|alert|hit\b|match|gate:aml",
    re.IGNORECASE,
)
KEYS: Final = count()
MOMENT = re.compile(r'"(decision_id|decided_at|leaf_index|tree_size|application_id)":("[^"]*"|\d+)')


@dataclass
class InForce:
    screener: Screener | None


def screener() -> Screener:
    """The invented list, as of today: the service's clock is the machine's."""
    return Screener.of(replace(SNAPSHOT, published=datetime.now(UTC).date()))


def role(name: str) -> Caller:
    return Caller(f"person:{name}", "", frozenset(), LATER, kind="person", roles=frozenset({name}), subject=name)


class People:
    """Lets in the client ``one``, and everybody else by the role that they name."""

    def known(self, header: str, certificate: bytes | None = None) -> Caller | None:
        return None

    async def authenticate(self, header: str | None, *, peer: str, holds: object = None) -> Caller:
        who = (header or "").removeprefix("Bearer ")
        if not who:
            raise UnauthenticatedError("nobody")
        if who == "one":
            scopes = frozenset({"decide", "simulate", "read", "report", "audit"})
            return Caller("one", "k", scopes, LATER)
        name, _, more = who.partition("/")
        found = role(name)
        return replace(found, client_id=f"person:{more}", subject=more) if more else found


def lender(*, on_fail: str = "hold", state: str = "enforce", alerts: Alerts | None = None) -> House:
    listeners = Listeners()
    at = datetime.now(UTC)
    listeners.take(
        [WebhookRow("e", "one", "https://a.example", EVENT_TYPES, "active", b"", None, None, at)],
    )
    release = release_of(aml=state, on_fail=on_fail)
    gate = AmlGate(InForce(screener()), subjects=Subjects(bytes(32)), application_id=release.application_id)
    desk: dict[str, Any] = {}
    made = house(release=release, authenticating=People(), gates={"aml": gate}, listeners=listeners)
    if alerts is not None:
        desk = {"alerts": AlertDesk(alerts, made.store, made.store, live_sources())}
        from obligor.serving.http import make_app

        door = replace(made.door, **desk)
        made = House(made.store, made.releases, door, made.states, make_app(door))
    return made


def person(name: str | None, **more: Any) -> dict[str, Any]:
    return good_application() | {"customer": f"c{next(KEYS)}", "applicant_name": name} | more


OLEG: Final = "Oleg Petrovich Korvand"
SEEN = ("GET /v1/decisions/{id}", "GET /v1/decisions/{id}/explanation", "GET /v1/decisions/{id}/receipt")


async def told_of(doors: Doors, decision_id: str, *, who: str = "one") -> dict[str, str]:
    """All that REST tells of a decision."""
    told = {}
    for route in (*SEEN, "GET /v1/decisions/{id}/review-requests", "GET /v1/decisions/{id}/override"):
        method, path = route.split()
        answer = await doors.by_rest(method, path.replace("{id}", decision_id), caller=who)
        told[route] = f"{answer.status_code} {answer.text} {sorted(answer.headers)}"
    return told


def without_the_moment(text: str) -> str:
    return MOMENT.sub("", text)


@pytest.mark.parametrize("on_fail", ["hold", "refer"])
def test_who_is_on_the_list_is_not_approved_by_either_door_and_no_word_says_why(on_fail: str) -> None:
    async def main() -> None:
        made = lender(on_fail=on_fail)
        async with both(made) as doors:
            application = person(OLEG, applicant_birth_date="1952-03-12")
            rest = await doors.decided_by_rest(application, key="a")
            grpc = await doors.decided_by_grpc(application | {"customer": "c-g"}, key="b")
            many = await doors.by_rest("POST", "/v1/decisions/bulk", {"applications": [person(OLEG)]}, key="c")
            for said in (rest.decision, grpc.decision, many.json()["results"][0]["decision"]):
                assert said is not None
                assert (said["outcome"], said["because"]) == (on_fail, "gate:review")
                assert not WORDS.search(json.dumps(said).replace("gate:review", ""))
            assert json.loads(made.store.kept[0].record)["gates"]["aml"]["result"] == "fail"
            decision_id = (rest.decision or {})["decision_id"]
            everything = [
                *(await told_of(doors, decision_id)).values(),
                *(it.payload.decode() for it in made.store.told),
            ]
            everything.append((await doors.by_rest("GET", "/v1/decisions")).text)
            assert len(made.store.told) == 3
            for text in everything:
                assert not WORDS.search(text), text
            other = await doors.decided_by_rest(person("Jane Example"), key="d")
            assert (other.decision or {})["outcome"] == "approve"

    run(main())


def test_who_is_on_the_list_and_who_cannot_be_compared_are_told_alike_to_the_byte() -> None:
    async def main() -> None:
        made = lender(on_fail="hold")
        async with both(made) as doors:
            pairs = []
            for name in (OLEG, None):
                answer = await doors.by_rest("POST", "/v1/decisions", person(name), key=f"k{next(KEYS)}")
                seen = await told_of(doors, answer.json()["decision_id"])
                event = made.store.told[-1].payload.decode()
                pairs.append([without_the_moment(it) for it in (answer.text, event, *seen.values())])
            assert pairs[0] == pairs[1]
            assert made.store.leaves == ["decision", "decision"]  # no act beside the decision either

    run(main())


def test_whose_match_was_confirmed_and_is_on_no_list_any_more_is_told_like_who_cannot_be_compared() -> None:
    async def main() -> None:
        release = release_of(aml="enforce", on_fail="hold")
        clearances, subjects, now = Clearances(), Subjects(bytes(32)), screener()
        asked = AmlColumns().asked({"applicant_name": "Jane Example"}, now)
        clearances.confirmed = frozenset({subjects.of_person(asked, number="C-1", application_id=None)})
        gate = AmlGate(InForce(now), subjects=subjects, clearances=clearances, application_id=release.application_id)
        made = house(release=release, authenticating=People(), gates={"aml": gate})
        async with both(made) as doors:
            told = []
            for name, number in (("Jane Example", "C-1"), (None, "C-1"), ("Jane Example", "C-2")):
                application = person(name, applicant_number=number)
                answer = await doors.by_rest("POST", "/v1/decisions", application, key=f"k{next(KEYS)}")
                seen = await told_of(doors, answer.json()["decision_id"])
                told.append([without_the_moment(it) for it in (answer.text, *seen.values())])
            assert told[0] == told[1]
            assert [json.loads(it.record)["outcome"] for it in made.store.kept] == ["hold", "hold", "approve"]
            assert made.store.leaves == ["decision"] * 3
            evidences = [json.loads(it.record)["gates"]["aml"]["evidence"] for it in made.store.kept]
            assert evidences[0] == evidences[2]

    run(main())


def test_a_simulation_asks_no_list() -> None:
    async def main() -> None:
        async with both(lender()) as doors:
            answers = [
                (await doors.by_rest("POST", "/v1/simulations", person(name, customer="c"))).json()
                for name in (OLEG, "Jane Example")
            ]
            assert [(it["outcome"], it["because"]) for it in answers] == [("hold", "gate:review")] * 2

    run(main())


def test_a_decision_that_is_made_again_uses_what_was_said_and_asks_nobody() -> None:
    async def main() -> None:
        made = lender()
        async with both(made) as doors:
            for name in (OLEG, "Jane Example", None):
                await doors.by_rest("POST", "/v1/decisions", person(name), key=f"k{next(KEYS)}")
            release = made.releases.current
            for stored in made.store.kept:
                assert replay(json.loads(stored.record), release) == ()

    run(main())


def test_an_old_list_or_none_holds_and_a_monitored_gate_changes_nothing() -> None:
    async def main() -> None:
        for now, state, wanted in (
            (None, "enforce", "hold"),
            (Screener.of(replace(SNAPSHOT, published=date(2020, 1, 1))), "enforce", "hold"),
            (None, "monitor", "approve"),
            (screener(), "monitor", "approve"),
        ):
            gate = AmlGate(InForce(now), subjects=Subjects(bytes(32)))
            made = house(release=release_of(aml=state), authenticating=People(), gates={"aml": gate})
            async with both(made) as doors:
                said = await doors.decided_by_rest(person("Jane Example"), key="a")
                assert (said.decision or {})["outcome"] == wanted

    run(main())


@pytest.mark.parametrize("on_fail", ["hold", "refer"])
def test_who_would_override_a_hit_learns_no_more_than_of_what_nobody_could_compare(on_fail: str) -> None:
    """By any door of an override, to an underwriter or a senior officer, whichever way they decide."""
    authority = {"reasons": {"x": "X"}, "limits": {it: {"pd": 1.0} for it in ("analyst", "senior_officer")}}

    async def main() -> None:
        release = release_of(aml="enforce", on_fail=on_fail)
        policy = parse_policy(
            json.dumps(
                json.loads(release.policy.to_json()) | {"authority": authority | {"approved_for_days": 9}}
            ).encode()
        )
        release = compile_release(7, card=release.card, policy=policy, profile=release.profile)
        gate = AmlGate(InForce(screener()), subjects=Subjects(bytes(32)), application_id=release.application_id)
        made = house(release=release, authenticating=People(), gates={"aml": gate})
        told: dict[str, list[str]] = {}
        async with both(made) as doors:
            for name in (OLEG, None):
                said = await doors.by_rest("POST", "/v1/decisions", person(name, customer="c"), key=f"k{next(KEYS)}")
                path = f"/v1/decisions/{said.json()['decision_id']}/override"
                for who in ("analyst", "senior_officer"):
                    body = {"outcome": "approve", "reason": "x", "rationale": "They are known to me"}
                    answer = await doors.by_rest("POST", path, body, key=f"o{next(KEYS)}", caller=who)
                    assert answer.status_code == 409, answer.text
                    told.setdefault(who, []).append(answer.text)
                    assert not WORDS.search(answer.text), answer.text
        if on_fail == "hold":
            assert all(len(set(it)) == 1 for it in told.values())

    run(main())


def test_a_person_who_asks_for_their_data_reads_nothing_of_a_gate() -> None:
    async def main() -> None:
        made = lender()
        async with both(made) as doors:
            for name in (OLEG, None):
                await doors.by_rest("POST", "/v1/decisions", person(name, customer="c"), key=f"k{next(KEYS)}")
            hit, pending = (told_to_the_subject(json.loads(it.record)) for it in made.store.kept)
            assert hit["because"] == "gate:review"
            own = {"input", "input_sha256", "decision_id", "decided_at", "idempotency_key"}
            assert {name: it for name, it in hit.items() if name not in own} == {
                name: it for name, it in pending.items() if name not in own
            }
            hit["input"].pop("applicant_name")
            assert not WORDS.search(json.dumps(hit))

    run(main())


# Alerts


CONFIRMED: Final = {"confirmed_by": "ada", "confirmed_at": datetime(2026, 11, 27, 12, tzinfo=UTC), "because": "why"}
ENDED: Final = {"cleared_by": "bob", "until": LATER}
REPORTED: Final = (
    AlertReportRow(UUID(int=1), 1, "ORS-1", date(2026, 11, 25), None, datetime(2026, 11, 27, 13, tzinfo=UTC), "eve"),
)


def alert(number: int, *, score: int = 9700, **more: Any) -> StoredAlert:
    why = {"name": "KORVAND, Oleg", "strength": "main", "kind": "individual", "programmes": ["X"], "born": "exact"}
    record = json.dumps({"why": why, "algorithm": "a", "rules_sha256": "0" * 64}).encode()
    said: dict[str, Any] = {
        "alert_id": UUID(int=number),
        "decision_id": UUID(int=7),
        "client_id": "one",
        "entry": "1001",
        "score": score,
        "list_sha256": "0" * 64,
        "opened_at": datetime(2026, 11, 26, tzinfo=UTC),
        "record": record,
        **dict.fromkeys(
            ("proposed_by", "cleared_by", "confirmed_by", "confirmed_at", "doubted_by", "because", "until")
        ),
    }
    return StoredAlert(**(said | more))


async def of_alerts(client: httpx.AsyncClient, who: str) -> list[httpx.Response]:
    heads = {"authorization": f"Bearer {who}"}
    body = b'{"because": "another birth place"}'
    path = f"/v1/alerts/{UUID(int=1)}"
    return [
        await client.get("/v1/alerts", headers=heads),
        await client.get(path, headers=heads),
        await client.post(f"{path}/clearances", headers=posting(f"{who}-{next(KEYS)}") | heads, content=body),
        await client.post(f"{path}/confirmation", headers=posting(f"{who}-{next(KEYS)}") | heads, content=body),
        await client.post(
            f"{path}/report", headers=posting(f"{who}-{next(KEYS)}") | heads, content=b'{"reference": "ORS-1"}'
        ),
        await client.post(
            f"{path}/report",
            headers=posting(f"{who}-{next(KEYS)}") | heads,
            content=b'{"reference": "ORS-2", "because": "a digit was wrong"}',
        ),
        await client.post(
            "/v1/alerts/yearly-reports",
            headers=posting(f"{who}-{next(KEYS)}") | heads,
            content=b'{"year": 2025, "reference": "ORS-1", "alerts": ["%b"]}' % str(UUID(int=1)).encode(),
        ),
    ]


@pytest.mark.parametrize("who", ["analyst", "senior_officer", "risk_officer", "los", "admin", "operator", "one"])
@pytest.mark.parametrize("reported", [False, True])
def test_an_underwriter_reads_of_an_alert_what_they_read_of_one_that_never_was(who: str, *, reported: bool) -> None:
    async def main() -> None:
        kept = alert(1, **CONFIRMED, reports=REPORTED) if reported else alert(1)
        with_one, with_none = lender(alerts=Alerts(kept)), lender(alerts=Alerts())
        async with with_one.client(None) as one, with_none.client(None) as none:
            for theirs, nothing in zip(await of_alerts(one, who), await of_alerts(none, who), strict=True):
                assert theirs.status_code == nothing.status_code == 404
                assert theirs.content == nothing.content
                assert "alert" not in theirs.text
        assert with_one.store.leaves == []

    run(main())


@pytest.mark.parametrize("kind", [Clearance, Confirmation, Report])
def test_the_desk_itself_says_that_there_is_none_to_who_may_not_know_of_any(kind: type[Said]) -> None:
    async def main() -> None:
        nobody = Caller("analyst", "", frozenset(), LATER, kind="person", roles=frozenset({"analyst"}), subject="ann")
        desk = lender(alerts=Alerts(alert(1))).door.alerts
        with pytest.raises(NotFoundError, match="there is none"):
            await desk.take(nobody, kind, key="k", alert_id=UUID(int=1), body=b"{}")
        for told in (desk.alerts(nobody), desk.alert(nobody, UUID(int=1))):
            with pytest.raises(NotFoundError, match="there is none"):
                await told

    run(main())


def test_compliance_reads_and_clears_and_an_auditor_only_reads() -> None:
    async def main() -> None:
        made = lender(alerts=Alerts(alert(1), alert(2, score=8700)))
        async with made.client(None) as client:
            listed, one, *refused = await of_alerts(client, "auditor")
            assert (listed.status_code, one.status_code) == (200, 200)
            assert [it.status_code for it in refused] == [403] * 5
            assert [it["score"] for it in listed.json()["alerts"]] == [0.97, 0.87]
            assert one.json()["why"]["name"] == "KORVAND, Oleg"
            assert one.json()["needs_second"]
            cleared, confirmed, *unconfirmed = (await of_alerts(client, "compliance/ada"))[2:]
            assert [it.status_code for it in unconfirmed] == [409, 409, 422]
            assert (cleared.status_code, cleared.json()["state"]) == (201, "proposed")
            assert (confirmed.status_code, confirmed.json()["state"]) == (201, "confirmed")
            assert made.store.leaves == ["alert.proposed", "alert.confirmed"]

    run(main())


def test_what_is_told_of_alerts_is_all_that_the_document_says() -> None:
    async def main() -> None:
        confirmed = alert(1, proposed_by="ann", until=LATER, **CONFIRMED, reports=REPORTED)
        alerts = Alerts(confirmed)
        at = datetime(2026, 11, 27, 13, tzinfo=UTC)
        alerts.yearly = (YearlyReportRow(2025, 1, "ORS-3", date(2025, 9, 30), (str(UUID(int=1)),), None, at, "eve"),)
        async with lender(alerts=alerts).client(None) as client:
            listed, one, *_ = await of_alerts(client, "auditor")
        of_all = shapes.AlertsTold.model_validate_json(listed.content)
        of_one = shapes.OneAlertTold.model_validate_json(one.content)
        assert (of_one.proposed_by, of_one.until, of_one.reports[0].at, of_one.confirmed_at) == (
            *("ann", LATER, at, CONFIRMED["confirmed_at"]),
        )
        assert of_all.alerts[0].model_dump() == of_one.model_dump(exclude={"why", "algorithm", "rules_sha256"})
        assert (of_all.yearly_reports[0].at, of_all.yearly_reports[0].late) == (at, False)

    run(main())


def test_a_strong_alert_is_cleared_by_a_second_person_and_a_weak_one_by_one() -> None:
    async def main() -> None:
        proposed = alert(1, proposed_by="ada", because="why", until=LATER)
        for stored, who, status, state in (
            (proposed, "ada", 403, None),
            (proposed, "ADA", 403, None),
            (proposed, "bob", 201, "cleared"),
            (alert(1, score=9499), "ada", 201, "cleared"),
            (alert(1, score=9500), "ada", 201, "proposed"),
            (alert(1, cleared_by="bob", because="why", until=LATER), "ada", 409, None),
        ):
            made = lender(alerts=Alerts(stored))
            async with made.client(None) as client:
                answer = (await of_alerts(client, f"compliance/{who}"))[2]
                assert (answer.status_code, answer.json().get("state")) == (status, state)

    run(main())


def test_a_match_is_confirmed_once_by_one_person_and_not_where_somebody_cleared_it() -> None:
    async def main() -> None:
        for stored, status in (
            (alert(1), 201),
            (alert(1, proposed_by="ada", because="why", until=LATER), 201),
            (alert(1, **CONFIRMED), 409),
            (alert(1, cleared_by="bob", because="why", until=LATER), 409),
            (alert(1, **CONFIRMED | ENDED, doubted_by="eve"), 409),
        ):
            made = lender(alerts=Alerts(stored))
            async with made.client(None) as client:
                answer = (await of_alerts(client, "compliance/ada"))[3]
                assert answer.status_code == status

    run(main())


def test_a_confirmation_is_corrected_by_two_people_however_weak_the_alert() -> None:
    async def main() -> None:
        proposed = {"proposed_by": "bob"}  # to clear it, before it was confirmed
        doubted = {"doubted_by": "ada", "until": LATER}
        for stored, who, status, state in (
            (alert(1, score=8700, **CONFIRMED), "ada", 201, "doubted"),
            (alert(1, **CONFIRMED | proposed), "bob", 201, "doubted"),
            (alert(1, **CONFIRMED | doubted), "ADA", 403, None),
            (alert(1, **CONFIRMED | proposed | doubted), "bob", 201, "corrected"),
            (alert(1, **CONFIRMED | doubted | ENDED), "eve", 409, None),
        ):
            made = lender(alerts=Alerts(stored))
            async with made.client(None) as client:
                answer = (await of_alerts(client, f"compliance/{who}"))[2]
                assert (answer.status_code, answer.json().get("state")) == (status, state)

    run(main())


def test_a_confirmed_match_is_told_with_the_day_of_its_report_until_it_is_corrected() -> None:
    async def main() -> None:
        doubted = {"doubted_by": "ada", "until": LATER}
        for more, state, due in (
            ({}, "open", None),
            (CONFIRMED, "confirmed", "2026-12-11"),
            (CONFIRMED | doubted, "doubted", "2026-12-11"),
            (CONFIRMED | doubted | ENDED, "corrected", None),
            (CONFIRMED | doubted | ENDED | {"until": datetime(2026, 11, 26, tzinfo=UTC)}, "expired", None),
        ):
            made = lender(alerts=Alerts(alert(1, score=8700, **more)))
            async with made.client(None) as client:
                told = (await of_alerts(client, "auditor"))[1].json()
                assert (told["state"], told["report_due_on"]) == (state, due)
                assert (told["yearly_report_due_on"] is None) is (due is None)
                assert told["needs_second"] is bool(more)

    run(main())


def test_a_confirmation_sent_again_is_answered_as_before_and_changes_nothing_else() -> None:
    async def main() -> None:
        alerts = Alerts(alert(1))
        made = lender(alerts=alerts)
        async with made.client(None) as client:
            heads = posting("k") | {"authorization": "Bearer compliance/ada"}
            path = f"/v1/alerts/{UUID(int=1)}/confirmation"
            first = await client.post(path, headers=heads, content=b'{"because": "x"}')
            alerts.kept[UUID(int=1)] = alert(1, **CONFIRMED)
            again = await client.post(path, headers=heads, content=b'{"because": "x"}')
            assert (again.status_code, again.content) == (201, first.content)
            other = await client.post(path, headers=heads, content=b'{"because": "y"}')
            assert other.status_code in (409, 422)
            unknown = await client.post(
                f"/v1/alerts/{UUID(int=9)}/confirmation", headers=heads | posting("l"), content=b'{"because": "x"}'
            )
            assert unknown.status_code == 404
            assert made.store.leaves == ["alert.confirmed"]

    run(main())


FIRST: Final = {"reference": "ORS-1", "reported_on": "2026-11-26"}
AMENDED: Final = {"reference": "ORS-2", "because": "a digit was wrong"}


def test_a_confirmed_match_is_reported_and_amended_with_a_reason_and_a_request_sent_again_is_answered_as_before() -> (
    None
):
    async def main() -> None:
        for stored, said, told in (
            (alert(1), FIRST, None),
            (alert(1, cleared_by="bob", because="why", until=LATER), FIRST, None),
            (alert(1, **CONFIRMED), FIRST, (1, "2026-11-26")),
            (alert(1, **CONFIRMED, doubted_by="eve"), FIRST, (1, "2026-11-26")),
            (alert(1, **CONFIRMED | ENDED, doubted_by="eve"), FIRST, (1, "2026-11-26")),  # before it was corrected
            (alert(1, **CONFIRMED, reports=REPORTED), FIRST, None),  # without a reason
            (alert(1, **CONFIRMED), AMENDED, None),  # there is nothing to amend
            (alert(1, **CONFIRMED, reports=REPORTED), AMENDED, (2, "2026-11-25")),  # the day stays
            (alert(1, **CONFIRMED, reports=REPORTED), AMENDED | FIRST, (2, "2026-11-26")),
            (alert(1, **CONFIRMED, reports=REPORTED), AMENDED | {"reference": "ORS-1"}, None),  # it says nothing new
        ):
            alerts = Alerts(stored)
            made = lender(alerts=alerts)
            async with made.client(None) as client:
                heads = posting("k") | {"authorization": "Bearer compliance/ada"}
                path, body = f"/v1/alerts/{UUID(int=1)}/report", json.dumps(said)
                answer = await client.post(path, headers=heads, content=body)
                assert answer.status_code == (409 if told is None else 201), answer.text
                assert made.store.leaves == ([] if told is None else ["alert.reported"])
                if told is not None:
                    number, day = told
                    wanted = {"number": number, "reference": said["reference"], "reported_on": day, "late": False}
                    assert wanted.items() <= answer.json().items()
                    alerts.kept[UUID(int=1)] = alert(1, **CONFIRMED, reports=REPORTED)
                    again = await client.post(path, headers=heads, content=body)
                    assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
                    other = await client.post(path, headers=heads, content=json.dumps(said | {"reference": "ORS-3"}))
                    assert (other.status_code, other.json()["type"]) == (422, "urn:obligor:problem:key-reused")
                    assert made.store.leaves == ["alert.reported"]

    run(main())


def test_a_yearly_report_is_told_with_the_alerts_amended_and_a_request_sent_again_is_answered_as_before() -> None:
    async def main() -> None:
        alerts = Alerts(alert(1, **CONFIRMED)._replace(opened_at=datetime(2025, 6, 1, tzinfo=UTC)))
        made = lender(alerts=alerts)
        async with made.client(None) as client:
            heads = {"authorization": "Bearer compliance/ada"}
            said = {"year": 2025, "reference": "ORS-1", "alerts": [str(UUID(int=1))], "reported_on": "2025-10-01"}

            async def post(key: str, **more: object) -> httpx.Response:
                content = json.dumps(said | more)
                return await client.post("/v1/alerts/yearly-reports", headers=heads | posting(key), content=content)

            first, again, other = await post("k"), await post("k"), await post("k", reference="ORS-2")
            assert (first.status_code, again.content, other.status_code) == (201, first.content, 422)
            told = first.json()
            assert said | {"number": 1, "late": True} == {it: told[it] for it in (*said, "number", "late")}
            report = YearlyReportRow(
                2025, 1, "ORS-1", date(2025, 10, 1), (str(UUID(int=1)),), None, datetime(2026, 1, 1, tzinfo=UTC), "ada"
            )
            alerts.yearly = (report,)
            listed = (await client.get("/v1/alerts", headers=heads)).json()["yearly_reports"]
            assert [(it["year"], it["late"], it["alerts"]) for it in listed] == [(2025, True, said["alerts"])]
            assert (await post("l")).status_code == 409
            amended = await post("m", reported_on="2025-09-30", because="the day was wrong")
            assert (amended.status_code, amended.json()["number"], amended.json()["late"]) == (201, 2, False)
            assert made.store.leaves == ["alert.reported.yearly"] * 2

    run(main())


def test_all_reports_of_a_match_are_told_the_last_counts_and_a_late_one_is_told_apart() -> None:
    at = datetime(2026, 12, 14, tzinfo=UTC)
    late = AlertReportRow(UUID(int=1), 2, "ORS-2", date(2026, 12, 12), "the day was wrong", at, "ada")
    in_time = AlertReportRow(UUID(int=1), 3, "ORS-2", date(2026, 12, 11), "it was the last day", at, "bob")

    async def main() -> None:
        for more, reports, days in (
            ({}, (), (None, None)),
            ({}, REPORTED, ("2026-11-25", False)),
            ({}, (*REPORTED, late), ("2026-12-12", True)),
            ({}, (*REPORTED, late, in_time), ("2026-12-11", False)),
            (ENDED, (*REPORTED, late), ("2026-12-12", False)),  # one that was a mistake was due on no day
        ):
            made = lender(alerts=Alerts(alert(1, **CONFIRMED | more, reports=reports)))
            async with made.client(None) as client:
                told = (await of_alerts(client, "auditor"))[1].json()
                assert (told["reported_on"], told["reported_late"]) == days
                assert [(it["number"], it["reference"], it["by"]) for it in told["reports"]] == [
                    (it.number, it.reference, it.by) for it in reports
                ]
                if reports:
                    assert (told["report_reference"], told["reported_by"]) == (reports[-1].reference, reports[-1].by)

    run(main())


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"reference": ""},
        {"reference": "Oleg Korvand"},  # a name is no reference
        {"reference": "ORS-1\n"},
        {"reference": "ORS-1 \N{CYRILLIC SMALL LETTER O}"},
        {"reference": "1" * 65},
        {"reference": "4111 1111 1111 1111"},
        {"reference": 7},
        {"reference": "ORS-1", "reported_on": "2026-11-24"},  # the day before the alert, in Hawaii
        {"reference": "ORS-1", "reported_on": "2999-01-01"},
        {"reference": "ORS-1", "reported_on": "yesterday"},
        {"reference": "ORS-1", "Oleg Korvand": 1},
        {"reference": "ORS-1", "x` - at `$.Oleg Korvand`": 1},
        {"reference": "ORS-1", "Oleg Korvand` - at `$.x": 1},
        *({"reference": "ORS-1", it: "eve"} for it in ("by", "reported_by", "at", "state", "number", "late")),
        *({"reference": "ORS-1", "because": it} for it in ("", " ", 7, "a\0b", "x" * 501, "4111 1111 1111 1111")),
    ],
)
def test_a_report_that_says_nonsense_or_could_name_somebody_is_refused(said: dict[str, Any]) -> None:
    async def main() -> None:
        made = lender(alerts=Alerts(alert(1, **CONFIRMED)))
        async with made.client(None) as client:
            heads = posting("k") | {"authorization": "Bearer compliance/ada"}
            answer = await client.post(f"/v1/alerts/{UUID(int=1)}/report", headers=heads, content=json.dumps(said))
            assert (answer.status_code, "Korvand" in answer.text, "4111" in answer.text) == (422, False, False)
            assert made.store.leaves == []

    run(main())


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"because": " "}',
        b'{"because": 7}',
        b'{"because": "a\\u0000b"}',
        b'{"because": "' + b"x" * 501 + b'"}',
        b'{"because": "x", "because": "y"}',
        b'{"because": "4111 1111 1111 1111"}',
        *(b'{"because": "x", "%b": "y"}' % it for it in (b"by", b"state", b"confirmed_by", b"at", b"until", b"days")),
    ],
)
def test_a_confirmation_that_says_nonsense_or_more_than_why_is_refused(body: bytes) -> None:
    async def main() -> None:
        made = lender(alerts=Alerts(alert(1)))
        async with made.client(None) as client:
            heads = posting("k") | {"authorization": "Bearer compliance/ada"}
            answer = await client.post(f"/v1/alerts/{UUID(int=1)}/confirmation", headers=heads, content=body)
            assert answer.status_code == 422
            assert made.store.leaves == []

    run(main())


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"because": ""}',
        b'{"because": " "}',
        b'{"because": 7}',
        b'{"because": "x", "days": 0}',
        b'{"because": "x", "days": 731}',
        b'{"because": "x", "days": "7"}',
        b'{"because": "x", "days": 1.5}',
        b'{"because": "x", "more": 1}',
        b'{"because": "a\\u0000b"}',
        b'{"because": "' + b"x" * 501 + b'"}',
        b'{"because": "x", "because": "y"}',
        b"{",
    ],
)
def test_a_clearance_that_says_nonsense_is_refused(body: bytes) -> None:
    async def main() -> None:
        made = lender(alerts=Alerts(alert(1)))
        async with made.client(None) as client:
            heads = posting("k") | {"authorization": "Bearer compliance/ada"}
            answer = await client.post(f"/v1/alerts/{UUID(int=1)}/clearances", headers=heads, content=body)
            assert answer.status_code == 422
            assert made.store.leaves == []

    run(main())


def test_a_clearance_sent_again_is_answered_as_before() -> None:
    async def main() -> None:
        alerts = Alerts(alert(1), alert(2))
        made = lender(alerts=alerts)
        async with made.client(None) as client:
            heads = posting("k") | {"authorization": "Bearer compliance/ada"}
            path, body = f"/v1/alerts/{UUID(int=1)}/clearances", b'{"because": "x", "days": 5}'
            first = await client.post(path, headers=heads, content=body)
            alerts.kept[UUID(int=1)] = alert(1, proposed_by="ada", because="x", until=LATER)
            again = await client.post(path, headers=heads, content=body)
            assert (again.status_code, again.content) == (201, first.content)
            other = await client.post(path, headers=heads, content=b'{"because": "y", "days": 5}')
            assert other.status_code in (403, 422)
            another = await client.post(path.replace("0001/", "0002/"), headers=heads, content=body)
            assert another.status_code == 422, "the key is bound to the alert"
            assert made.store.leaves == ["alert.proposed"]

    run(main())
