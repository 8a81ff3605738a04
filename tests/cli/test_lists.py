"""Lists and alerts from the command line, and a service that takes a list up while it runs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from tests.screening.lists import EXAMPLE
from tests.serving import golden_decisions as golden
from tests.serving.gated import good_application, profile_of
from tests.stores import as_owner

from obligor.bootstrap.decisions import open_decisions
from obligor.bootstrap.releases import Made, put_in_force
from obligor.bootstrap.store import open_store
from obligor.governance.law.reporting import last_day_at
from obligor.serving.acts import Caller
from obligor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from obligor.bootstrap.store import Store

Call = Any
TODAY = datetime.now(UTC).date()
CARD = golden.whole_card()
CLIENT = Caller("bank", "k", frozenset({"decide"}), datetime.max.replace(tzinfo=UTC))


def with_store(url: str, work: Callable[[Store], Any]) -> Any:
    async def main() -> Any:
        async with open_store(url, read_settings(os.environ)) as store:
            return await work(store)

    return asyncio.run(main())


async def gated(store: Store) -> None:
    await put_in_force(store, Made(CARD, golden.policy_of(CARD)), profile_of(aml="enforce"))


def load(call: Call, day: Any, *more: str, by: str = "Ada") -> tuple[int, str, str]:
    found: tuple[int, str, str] = call(by, "lists", "load", str(EXAMPLE), "--published", day.isoformat(), *more)
    return found


def test_a_list_is_loaded_found_again_and_never_goes_to_an_older_day_by_itself(call: Call) -> None:
    assert call("Vera", "lists", "list")[:2] == (0, "no list was loaded\n")
    assert call("Vera", "screen", "Oleg Korvand")[0] == 1
    code, out, _ = load(call, TODAY)
    assert (code, "of 2" in out, "by Ada" in out) == (0, True, True)
    code, out, err = load(call, TODAY)
    assert (code, "is the one in force" in err) == (2, True)
    code, out, err = load(call, TODAY - timedelta(days=3))
    assert (code, "--older says that this is meant" in err) == (2, True)
    code, out, err = call("Ada", "lists", "load", str(EXAMPLE))
    assert (code, "does not say its day" in err) == (2, True)
    code, out, err = load(call, TODAY - timedelta(days=3), "--older", "--json")
    assert json.loads(out)["change"] == {"added": 0, "altered": 0, "removed": 0}
    code, out, _ = call("Vera", "lists", "list", "--json")
    days = [it["published"] for it in json.loads(out)["lists"]]
    assert days == [(TODAY - timedelta(days=3)).isoformat(), TODAY.isoformat()]
    code, out, _ = call("Vera", "screen", "Oleg Korvand")  # against the one that was loaded
    assert (code, "HIT 0.9091 1001" in out) == (1, True)
    assert call("Vera", "screen", "Jane Example")[0] == 0
    code, out, _ = call("Vera", "audit", "verify", "--json")
    assert code == 0, out


def test_alerts_are_found_shown_and_cleared_by_two_people(call: Call, url: str) -> None:
    with_store(url, gated)

    async def decide(store: Store) -> None:
        async with open_decisions(store, read_settings(os.environ)) as decisions:
            for at, name in enumerate(("Oleg Petrovich Korvand", "Jane Example", None)):
                application = good_application() | {"customer": f"c{at}", "applicant_name": name}
                await decisions.service.decide(CLIENT, key=f"k{at}", application=application)

    with_store(url, decide)
    code, _, err = call("Ada", "alerts", "rescreen")
    assert (code, "no list of sanctions was loaded" in err) == (1, True)
    assert load(call, TODAY)[0] == 0
    code, out, _ = call("Ada", "alerts", "list")
    assert (code, "no alert waits" in out, "all but 3 decisions" in out) == (0, True, True)
    code, out, _ = call("Ada", "alerts", "rescreen", "--json")
    found = json.loads(out)
    assert (len(found["alerts"]), found["screening"]["left"]) == (1, 0)
    assert (found["screening"]["screened"], found["screening"]["not_comparable"]) == (2, 1)
    one = found["alerts"][0]["alert_id"]
    code, out, _ = call("Ada", "alerts", "show", one)
    assert (code, "entry 1001" in out, "by two people" in out) == (0, True, True)
    code, out, _ = call("Ada", "alerts", "clear", one, "--because", "another birth place")
    assert (code, out.startswith("proposed")) == (0, True)
    code, _, err = call("Ada", "alerts", "clear", one, "--because", "another birth place")
    assert (code, "another person" in err) == (1, True)
    code, out, _ = call("Bob", "alerts", "clear", one, "--because", "seen the passport", "--days", "30", "--json")
    assert (code, json.loads(out)["state"]) == (0, "cleared")
    code, _, err = call("Eve", "alerts", "clear", one, "--because", "so it is")
    assert (code, "cleared before" in err) == (1, True)
    code, out, _ = call("Ada", "alerts", "list", "--json")
    assert json.loads(out)["alerts"] == []
    code, _, err = call("Eve", "alerts", "confirm", one, "--because", "the same passport")
    assert (code, "cleared before" in err) == (1, True)
    assert call("Ada", "alerts", "show", "7")[0] == 2
    assert call("Ada", "alerts", "show", "00000000-0000-7000-8000-000000000000")[0] == 1
    code, out, _ = call("Vera", "audit", "verify", "--json")
    assert code == 0, out


def alert_of_oleg(call: Call, url: str) -> str:
    """Screen somebody who is on the list, and give their alert."""
    with_store(url, gated)

    async def decide(store: Store) -> None:
        async with open_decisions(store, read_settings(os.environ)) as decisions:
            application = good_application() | {"customer": "c", "applicant_name": "Oleg Petrovich Korvand"}
            await decisions.service.decide(CLIENT, key="k", application=application)

    with_store(url, decide)
    assert load(call, TODAY)[0] == 0
    (alert,) = json.loads(call("Ada", "alerts", "rescreen", "--json")[1])["alerts"]
    return str(alert["alert_id"])


def test_a_match_is_confirmed_told_with_the_day_of_its_report_and_corrected_by_two(call: Call, url: str) -> None:
    one = alert_of_oleg(call, url)
    code, out, _ = call("Ada", "alerts", "confirm", one, "--because", "the same passport")
    assert (code, "to be reported to OFAC by 20" in out) == (0, True)
    due = out.split()[-1]
    code, _, err = call("Bob", "alerts", "confirm", one, "--because", "the same passport")
    assert (code, "confirmed before" in err) == (1, True)
    for wrong, told in (("Oleg Korvand", "name nobody"), ("4111 1111 1111 1111", "payment card")):
        code, _, err = call("Bob", "alerts", "reported", one, "--reference", wrong)
        assert (code, told in err, wrong in err) == (2, True, False)
    code, _, err = call("Bob", "alerts", "reported", one, "--reference", "ORS-1", "--on", "2026-01-01")
    assert (code, "wanted a day from that of the alert" in err) == (2, True)
    code, out, _ = call("Bob", "alerts", "list")
    assert (code, f"confirmed, report due on {due}" in out) == (0, True)
    code, out, _ = call("Bob", "alerts", "show", one)
    assert (code, "  Ada: the same passport\n" in out, f"reported by {due}" in out) == (0, True, True)
    assert call("Bob", "alerts", "reported", one, "--reference", "ORS-2026-1")[0] == 0
    code, out, _ = call("Bob", "alerts", "list")
    assert (code, "confirmed, reported on 20" in out, "due on" in out) == (0, True, False)
    code, out, _ = call("Ada", "alerts", "clear", one, "--because", "a twin")
    assert (code, out.startswith("proposed")) == (0, True)
    code, _, err = call("Ada", "alerts", "clear", one, "--because", "a twin")
    assert (code, "another person" in err) == (1, True)
    code, out, _ = call("Bob", "alerts", "clear", one, "--because", "a twin", "--json")
    assert (code, json.loads(out)["state"]) == (0, "corrected")
    code, out, _ = call("Vera", "audit", "verify", "--json")
    assert code == 0, out


def test_whoever_erases_a_person_with_an_alert_reads_of_a_hold_which_is_released_as_any_other(
    call: Call, url: str
) -> None:
    one = alert_of_oleg(call, url)
    told = []
    for step in ("open", "confirmed"):
        code, out, err = call("Pia", "privacy", "erase", "--application", "c")
        assert (code, "a legal hold stands; nothing was erased" in err) == (1, True), step
        assert not re.search(r"alert|sanction|match|korvand|ofac", out + err, re.IGNORECASE)
        told.append(err)
        call("Ada", "alerts", "confirm", one, "--because", "the same passport")
    assert told[0] == told[1]
    code, out, _ = call("Pia", "privacy", "release", "--application", "c", "--json")
    assert (code, [it["held"] for it in json.loads(out)["subjects"]]) == (0, [False])
    code, _, err = call("Pia", "privacy", "erase", "--application", "c")
    assert (code, "legal hold" in err, "must be kept until" in err) == (1, False, True)
    code, out, _ = call("Vera", "audit", "verify", "--json")
    assert code == 0, out


def test_what_was_said_of_a_report_is_amended_with_a_reason_and_all_of_it_is_shown_and_exported(
    call: Call, url: str, tmp_path: Path
) -> None:
    one, day = alert_of_oleg(call, url), last_day_at(datetime.now(UTC))
    assert call("Ada", "alerts", "confirm", one, "--because", "the same passport")[0] == 0
    code, _, err = call("Bob", "alerts", "reported", one, "--reference", "ORS-2026-1", "--because", "a digit was wrong")
    assert (code, "nothing to amend" in err) == (1, True)
    code, out, _ = call("Bob", "alerts", "reported", one, "--reference", "ORS-2026-1")
    assert (code, out) == (0, f"reported on {day}, reference ORS-2026-1\n")
    amend = ("alerts", "reported", one, "--reference", "ORS-2026-2")
    code, _, err = call("Ada", *amend)
    assert (code, "reported before" in err, "--because" in err) == (1, True, True)
    code, _, err = call("Ada", *amend, "--because", "4111 1111 1111 1111")
    assert (code, "payment card" in err, "4111" in err) == (2, True, False)
    code, out, _ = call("Ada", *amend, "--because", "a digit was wrong")
    assert (code, out) == (0, f"amended: reported on {day}, reference ORS-2026-2\n")
    code, _, err = call("Ada", *amend, "--because", "a digit was wrong")
    assert (code, "what the last report of this match says" in err) == (1, True)
    code, out, _ = call("Bob", "alerts", "show", one)
    assert out.splitlines()[-2:] == [
        f"  reported on {day}, reference ORS-2026-1, says Bob",
        f"  amended: reported on {day}, reference ORS-2026-2, says Ada: a digit was wrong",
    ]
    bundle, days = str(tmp_path / "bundle.zip"), (str(TODAY - timedelta(days=1)), str(TODAY + timedelta(days=2)))
    assert call("Vera", "audit", "export", bundle, "--from", days[0], "--to", days[1])[0] == 0
    with zipfile.ZipFile(bundle) as file:
        records = [json.loads(json.loads(line)["record"]) for line in file.read("records.jsonl").splitlines()]
    reports = [it for it in records if it.get("schema") == "obligor/alert-report/1"]
    assert [(it["number"], it["reference"], it["because"], it["by"]) for it in reports] == [
        (1, "ORS-2026-1", None, "Bob"),
        (2, "ORS-2026-2", "a digit was wrong", "Ada"),
    ]
    checks = {it["check"]: it for it in json.loads(call("Vera", "doctor", "--json")[1])["checks"]}
    yearly = json.loads(call("Bob", "alerts", "show", one, "--json")[1])["yearly_report_due_on"]
    counted = {"not reported yet": 0, "reported late": 0, f"in the yearly report by {yearly}": 1}
    assert checks["reports"]["counts"] == counted
    assert [checks[it]["verdict"] for it in ("reports", "I2")] == ["ok", "ok"]


def test_the_report_of_a_year_is_told_with_the_matches_it_named_and_names_none_of_after_its_30_june(
    call: Call, url: str
) -> None:
    one, year = alert_of_oleg(call, url), TODAY.year - 1
    assert call("Ada", "alerts", "confirm", one, "--because", "the same passport")[0] == 0
    say = ("alerts", "yearly-reported", str(year))
    code, _, err = call("Bob", *say, one, "--reference", "ORS-1", "--on", f"{year}-10-01")
    assert (code, f"opened by 30 June {year}, and confirmed" in err) == (2, True)
    code, _, err = call("Bob", *say, "--reference", "ORS-1")
    assert (code, "one at least" in err) == (2, True)
    code, _, err = call("Bob", *say, "nobody", "--reference", "ORS-1")
    assert (code, "ALERT: wanted the id" in err) == (2, True)
    with psycopg.connect(as_owner(url), autocommit=True) as owner:  # which verifying would find
        owner.execute(f"UPDATE obligor.alert SET opened_at = '{year}-01-01'".encode())
    code, out, _ = call("Bob", *say, one, "--reference", "ORS-1", "--on", f"{year}-10-01")
    told = f"yearly report of {year}, 1 match: reported on {year}-10-01, late, reference ORS-1"
    assert (code, out) == (0, f"{told}\n")
    code, _, err = call("Ada", *say, "--reference", "ORS-2")
    assert (code, "says why" in err) == (1, True)
    assert call("Ada", *say, "--reference", "ORS-2", "--because", "a digit was wrong")[0] == 0
    code, out, _ = call("Bob", "alerts", "list")
    assert out.splitlines()[1:3] == [
        f"{told}, says Bob",
        f"{told.replace('reported', 'amended: reported').replace('ORS-1', 'ORS-2')}, says Ada: a digit was wrong",
    ]
    code, out, _ = call("Bob", "alerts", "list", "--json")
    assert [it["alerts"] for it in json.loads(out)["yearly_reports"]] == [[one], [one]]
    checks = {it["check"]: it for it in json.loads(call("Vera", "doctor", "--json")[1])["checks"]}
    assert checks["reports"]["counts"][f"yearly report of {year} filed late"] == 1


def test_a_service_takes_a_list_up_while_it_runs_and_opens_an_alert(call: Call, url: str, tmp_path: Path) -> None:
    with_store(url, gated)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "obligor"), "serve", "--port", str(port), "--no-grpc"]
    said = tmp_path / "said"
    with said.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as service:
        try:
            wait(lambda: "REST" in said.read_text(), service)
            key = re.findall(r"obl_\w+", said.read_text())[0]
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {key}"}, timeout=20
            ) as client:
                numbers = iter(range(1000))

                def outcome(name: str) -> str:
                    at = next(numbers)
                    application = good_application() | {"customer": f"s{at}", "applicant_name": name}
                    answer = client.post("/v1/decisions", json=application, headers={"idempotency-key": f"s{at}"})
                    return str(answer.json()["outcome"])

                assert outcome("Jane Example") == "hold"  # there is no list
                assert load(call, TODAY)[0] == 0
                wait(lambda: outcome("Jane Example") == "approve", service)
                assert outcome("Oleg Petrovich Korvand") == "refer"
                wait(lambda: '"entry": "1001"' in call("Ada", "alerts", "list", "--json")[1], service)
                assert client.get("/v1/alerts").status_code == 404
                assert "korvand" not in client.get("/v1/decisions").text.lower()
        finally:
            service.terminate()
    assert "korvand" not in said.read_text().lower()
    code, out, _ = call("Vera", "doctor", "--json")
    assert code == 0, out


def wait(what: Callable[[], bool], service: subprocess.Popen[bytes], *, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert service.poll() is None
        assert time.monotonic() < until
        time.sleep(0.2)
