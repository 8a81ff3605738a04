"""`obligor webhooks test` against a receiver on this machine that verifies what comes, and misbehaves as it is told."""

from __future__ import annotations

import asyncio
import io
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.serving.los import Los, drop, say
from tests.serving.webhooks.endpoints import office

from obligor.bootstrap.webhooks import tell_of_attempt
from obligor.core.errors import UnavailableError
from obligor.serving.telemetry.journal import Journal
from obligor.serving.webhooks.delivering import Attempted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def url(postgres_url: str) -> str:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS webhooks WITH (FORCE)")
        connection.execute("CREATE DATABASE webhooks TEMPLATE template0 ENCODING 'UTF8'")
    return postgres_url.replace("/tests", "/webhooks", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder of the store's keys."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def call(url: str, run: Call, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Call:
    monkeypatch.setenv("OBLIGOR_DATA", str(folder))
    monkeypatch.setenv("OBLIGOR_DATABASE_URL", url)
    monkeypatch.setenv("OBLIGOR_AUTHOR", "olga")

    return partial(run, "webhooks")


def added(call: Call, los: Los) -> str:
    code, out, err = call("add", "bank", los.url, "--json")
    assert (code, err) == (0, "")
    said: dict[str, Any] = json.loads(out)
    los.secret = said["secret"]
    return str(said["endpoint_id"])


def test_an_endpoint_takes_a_signed_message_that_tells_of_nothing(call: Call, los: Los) -> None:
    endpoint = added(call, los)
    code, out, err = call("test", endpoint, "--json")
    assert (code, err, json.loads(out)) == (0, "", {"endpoint_id": endpoint, "status": 204})
    (message,) = los.came  # verified by the receiver's own library
    assert (message["type"], message["data"]) == ("webhook.test", {})
    assert (los.refused, los.state) == (0, {})
    assert call("test", endpoint)[1] == f"endpoint {endpoint} answered 204\n"
    assert len({it["webhook-id"] for it in los.headers}) == 2


def test_a_client_that_no_key_was_ever_made_for_is_warned_of(call: Call, run: Call, los: Los) -> None:
    code, _, err = call("add", "nobody", los.url)
    assert (code, "warning: no API key was ever made for nobody" in err) == (0, True)
    assert run("keys", "create", "bank")[0] == 0
    code, _, err = call("add", "bank", los.url)
    assert (code, "warning" in err) == (0, False)


def test_an_attempt_that_failed_is_told_by_its_endpoint_and_its_status() -> None:
    lines = io.BytesIO()
    with Journal(lines, strict=True) as journal:
        for status in (503, None):
            trouble = UnavailableError("the answer was another")
            tell_of_attempt(journal, Attempted("ep_abcdefghij234567", 3, status, trouble))
        tell_of_attempt(journal, Attempted("ep_abcdefghij234567", 4, 204, None))
    answered, silent = [json.loads(it) for it in lines.getvalue().splitlines()]
    assert (answered["level"], answered["endpoint_id"], answered["status"]) == ("warning", "ep_abcdefghij234567", 503)
    assert (silent["endpoint_id"], "status" in silent) == ("ep_abcdefghij234567", False)


def test_while_a_secret_is_replaced_the_old_and_the_new_one_verify_it(call: Call, los: Los) -> None:
    endpoint = added(call, los)
    old = los.secret
    new = json.loads(call("rotate", endpoint, "--json")[1])["secret"]
    for los.secret in (old, new):
        assert call("test", endpoint)[0] == 0
    assert (len(los.came), los.refused) == (2, 0)


def test_a_receiver_with_a_public_key_verifies_and_one_with_a_secret_may_take_its_place(call: Call, los: Los) -> None:
    code, out, err = call("add", "bank", los.url, "--signature", "ed25519")
    assert (code, out.startswith("whpk_"), "the public key is shown this once" in err) == (0, True, True)
    endpoint = err.split()[1]
    turned = json.loads(call("rotate", endpoint, "--json")[1])
    assert turned["public_key"] != out.strip(), "a new key, of the same kind"
    for los.secret in (out.strip(), turned["public_key"]):
        assert call("test", endpoint)[0] == 0
    secret = json.loads(call("rotate", endpoint, "--signature", "hmac", "--json")[1])["secret"]
    for los.secret in (turned["public_key"], secret):
        assert call("test", endpoint)[0] == 0
    assert (len(los.came), los.refused) == (4, 0)
    los.secret = out.strip()
    assert (call("test", endpoint)[0], los.refused) == (1, 1), "the key before the one before"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (say(500), "answered 500; wanted 2xx"),
        (say(302, Location="http://127.0.0.1:1/elsewhere"), "answered 302; wanted 2xx"),
        (drop, "did not answer"),
    ],
)
def test_an_endpoint_that_does_not_take_it_is_told_of_without_its_address(
    call: Call, los: Los, answer: Any, words: str
) -> None:
    endpoint = added(call, los)
    los.answers.append(answer)
    code, out, err = call("test", endpoint)
    assert (code, out, words in err) == (1, "", True)
    assert "hush" not in err
    assert len(los.bodies) == 1


def test_a_message_with_another_secret_is_refused_by_the_receiver_and_that_is_told(call: Call, los: Los) -> None:
    endpoint = added(call, los)
    los.secret = "whsec_" + "A" * 43 + "="  # of nobody
    code, _, err = call("test", endpoint)
    assert (code, "answered 401" in err, los.refused) == (1, True, 1)


def test_a_receiver_that_is_down_and_an_endpoint_that_there_is_not_are_told_of(call: Call) -> None:
    with Los() as gone:
        endpoint = added(call, gone)
    code, _, err = call("test", endpoint)
    assert (code, "did not answer" in err, "hush" in err) == (1, True, False)
    code, _, err = call("test", "ep_nobody")
    assert (code, "no endpoint of this id" in err) == (1, True)


def test_an_endpoint_that_was_disabled_is_sent_nothing_not_even_a_test(call: Call, los: Los) -> None:
    endpoint = added(call, los)
    assert call("disable", endpoint)[0] == 0
    code, out, err = call("test", endpoint)
    assert (code, out, "was disabled" in err) == (2, "", True)
    assert los.bodies == []


def test_an_endpoint_that_is_gone_says_why_and_goes_on_once_it_is_enabled(call: Call, los: Los, url: str) -> None:
    endpoint = added(call, los)
    los.answers = [say(410)]
    code, _, err = call("test", endpoint)
    assert (code, "answered 410" in err) == (1, True), "a test ends nothing"

    async def stop() -> None:
        async with office(url) as here:
            await here.decide("approve")
            await here.webhooks.stop(await here.deliveries.endpoint(endpoint))

    asyncio.run(stop())
    (line,) = [it for it in call("list")[1].splitlines() if it.startswith(endpoint)]
    assert "  gone (its receiver answered 410)  " in line
    assert line.endswith("1 pending, 0 dead")
    code, _, err = call("rotate", endpoint)
    assert (code, "is gone" in err, "obligor webhooks enable" in err) == (1, True, True)
    assert call("test", endpoint)[0] == 0, "to find out whether it is there again"
    code, out, _ = call("enable", endpoint, "--json")
    assert (code, json.loads(out)["state"], json.loads(out)["pending"]) == (0, "active", 1)
    assert call("enable", endpoint)[0] == 1


def test_who_enables_an_endpoint_is_told_what_was_given_up_meanwhile(call: Call, los: Los, url: str) -> None:
    endpoint = added(call, los)

    async def stop() -> None:
        async with office(url) as here:
            await here.decide("approve", "refer")
            await here.webhooks.stop(await here.deliveries.endpoint(endpoint))

    asyncio.run(stop())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """UPDATE obligor.delivery SET state = 'dead', settled_at = now() WHERE endpoint_id = %(here)s AND sequence = (
                SELECT min(sequence) FROM obligor.delivery WHERE endpoint_id = %(here)s)""",
            {"here": endpoint},
        )
    said = f"is told of events again; 1 waited for it, 1 were given up (obligor webhooks replay {endpoint})\n"
    assert call("enable", endpoint)[1].endswith(said)
    assert call("replay", endpoint)[1] == "1 events will be sent again\n"


def test_who_sends_events_again_is_told_which_are_pruned(call: Call, los: Los, url: str) -> None:
    endpoint = added(call, los)
    assert call("replay", endpoint)[1] == "0 events will be sent again\n"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE obligor.webhook_endpoint SET created_at = '2026-01-01Z' WHERE endpoint_id = %s", (endpoint,)
        )
        connection.execute("INSERT INTO obligor.outbox_pruned VALUES (true, '2026-08-01 12:00Z')")
    said = "0 events will be sent again; those that were settled before 2026-08-01 12:00Z are pruned (OBLIGOR_EVENT_DAYS)\n"
    assert call("replay", endpoint)[1] == call("replay", endpoint, "--from", "2026-07-01")[1] == said
    told = json.loads(call("replay", endpoint, "--to", "2026-07-01", "--json")[1])
    assert told == {"endpoint_id": endpoint, "events": 0, "pruned_before": "2026-08-01T12:00:00.000000Z"}
    assert call("replay", endpoint, "--from", "2026-09-01")[1] == "0 events will be sent again\n"
