"""What does not answer is told to a client in a neutral sentence, and to the log in whole."""

from __future__ import annotations

import json
import logging
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from tests.serving.http.fakes import BODY, house, posting
from tests.serving.http.serving import run

from obligor.core.errors import ApplicationError, KeyReusedError, UnavailableError
from obligor.serving import errors
from obligor.serving.errors import problem_of
from obligor.serving.grpc.refusals import refusal_of
from obligor.serving.telemetry.journal import Journal, take_over_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

SAID = "postgresql://db.inside.example:5432/obligor did not record in 5 s (57P01); /var/lib/obligor/postgres"
INSIDE = ("inside.example", "5432", "/var/lib", "57P01", "postgres")


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    errors._logged.clear()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)


def test_a_client_of_either_door_learns_nothing_of_what_the_service_stands_on() -> None:
    error = UnavailableError(SAID, hint="look at /etc/obligor")
    for told in (json.dumps(problem_of(error)), str(refusal_of(error))):
        assert "cannot answer now" in told
        assert not any(it in told for it in (*INSIDE, "/etc"))


def test_what_is_for_clients_is_told_to_them() -> None:
    assert problem_of(UnavailableError("no release is in force", told=True))["detail"] == "no release is in force"


def test_a_key_that_was_used_is_not_told_as_a_request_that_cannot_be_read() -> None:
    reused, unread = problem_of(KeyReusedError("")), problem_of(ApplicationError(""))
    assert reused["status"] == unread["status"]
    assert (reused["title"], unread["title"]) == (
        "The Idempotency-Key belongs to another request",
        "The request cannot be read",
    )


def test_over_http_a_store_that_is_down_is_told_in_a_neutral_sentence() -> None:
    async def main() -> None:
        of = house()

        async def record(_: object) -> None:
            raise UnavailableError(SAID)

        of.store.record = record  # type: ignore[method-assign, assignment]
        async with of.client() as client:
            answer = await client.post("/v1/decisions", content=BODY, headers=posting())
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
            assert not any(it in answer.text for it in INSIDE)

    run(main())


def test_the_log_is_told_in_whole_and_not_more_than_once_a_second_however_many_ask() -> None:
    stream = BytesIO()
    with Journal(stream) as journal:
        take_over_logging(journal)
        for _ in range(500):
            problem_of(UnavailableError(SAID))
        problem_of(UnavailableError("something else"))
    lines = [json.loads(it) for it in stream.getvalue().splitlines()]
    assert [it["text"] for it in lines] == [SAID, "something else"]
    assert {(it["level"], it["error"]) for it in lines} == {("warning", "UnavailableError")}
