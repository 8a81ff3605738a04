"""What may be done with an endpoint as it stands, and what of it is recorded."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.stores import NOW

from obligor.core.errors import ClashError, IntegrityError, InvalidInputError, NotFoundError
from obligor.core.leaves import time_text
from obligor.serving.rows import SubjectKeyRow, WebhookRow
from obligor.serving.sources import Sources
from obligor.serving.webhooks.endpoints import Webhooks
from obligor.serving.webhooks.events import DECISION_MADE, OUTCOME_REPORTED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from obligor.serving.acts import Act, Submission

ROW: Final = WebhookRow(
    "ep_1", "bank", "https://bank.example", (DECISION_MADE,), "active", b"s" * 32, b"p" * 32, NOW, NOW
)
DO: Final[dict[str, Callable[[Webhooks, WebhookRow | None], Coroutine[Any, Any, Any]]]] = {
    "rotate": lambda of, row: of.rotate(row, overlap=timedelta(hours=1)),
    "disable": lambda of, row: of.disable(row),
    "enable": lambda of, row: of.enable(row),
    "replay": lambda of, row: of.replayed(row, since=NOW, until=None),
    "stop": lambda of, row: of.stop(row),
}
ALLOWED: Final = {
    "active": {"rotate", "disable", "replay", "stop"},
    "gone": {"disable", "enable"},
    "disabled": set(),
    None: set(),
}
"""What may be done with an endpoint in each state, and with none."""


@dataclass
class Log:
    """Keeps acts in a list; ``refuses`` as the store does where somebody was quicker."""

    acts: list[Act] = field(default_factory=list)
    refuses: bool = False

    async def record(self, submission: Submission) -> None:
        if self.refuses:
            raise IntegrityError("the endpoint was changed meanwhile")
        self.acts.extend(submission.acts)


def webhooks(log: Log, **more: Any) -> Webhooks:
    chance = count(1)
    sources = Sources(lambda: NOW, lambda size: bytes([next(chance)]) * size)
    return Webhooks(log, sources, **{"by": "ada", "check": lambda _: None} | more)  # type: ignore[arg-type]  # a part of it


@pytest.mark.parametrize("state", ALLOWED)
@pytest.mark.parametrize("what", DO)
def test_only_what_may_be_done_with_an_endpoint_as_it_stands_is_done_and_recorded(what: str, state: Any) -> None:
    log = Log()
    row = None if state is None else replace(ROW, state=state)
    if what in ALLOWED[state]:
        asyncio.run(DO[what](webhooks(log), row))
        assert len(log.acts) == 1
        return
    if what == "stop":  # a receiver's answer ends nothing that somebody changed since
        asyncio.run(DO[what](webhooks(log), row))
    else:
        with pytest.raises(NotFoundError if row is None else ClashError):
            asyncio.run(DO[what](webhooks(log), row))
    assert log.acts == []


@pytest.mark.parametrize("what", DO)
def test_what_is_recorded_is_the_endpoint_as_it_is_from_then_on_and_none_of_its_secrets(what: str) -> None:
    log = Log()
    asyncio.run(DO[what](webhooks(log), replace(ROW, state="gone") if what == "enable" else ROW))
    (act,) = log.acts
    wanted = {
        "rotate": replace(ROW, secret=b"\1" * 32, previous_secret=ROW.secret, previous_until=NOW + timedelta(hours=1)),
        "disable": replace(ROW, state="disabled", previous_secret=None, previous_until=None),
        "enable": ROW,
        "replay": ROW,
        "stop": replace(ROW, state="gone"),
    }[what]
    assert act.rows == (() if what == "replay" else (wanted,))
    assert act.by == ("client:obligor/webhooks" if what == "stop" else "person:ada")
    previous, until = wanted.previous_secret, wanted.previous_until
    assert json.loads(act.record) == {
        "schema": "obligor/webhook/1",
        "endpoint_id": "ep_1",
        "client_id": "bank",
        "url": "https://bank.example",
        "event_types": [DECISION_MADE],
        "state": wanted.state,
        "secret_sha256": sha256(wanted.secret).hexdigest(),
        "previous_sha256": None if previous is None else sha256(previous).hexdigest(),
        "previous_until": None if until is None else time_text(until),
        "created_at": time_text(NOW),
        **({"since": time_text(NOW), "until": None} if what == "replay" else {}),
    }


def test_without_an_overlap_the_secret_of_before_signs_nothing_more() -> None:
    log = Log()
    new = asyncio.run(webhooks(log).rotate(ROW, overlap=timedelta()))
    assert (new.row.previous_secret, new.row.previous_until) == (None, None)
    assert new.row.secret == new.secret != ROW.secret


def test_a_secret_that_is_sealed_is_kept_as_it_was_sealed_with_its_key_and_shown_once() -> None:
    class Keeper:
        def seal(self, secret: bytes, *, of: str, at: datetime) -> tuple[bytes, SubjectKeyRow]:
            assert at == NOW
            return b"sealed " + secret, SubjectKeyRow(b"key", of.encode(), 1, b"wrapped", at)

        async def open(self, kept: bytes, *, of: str) -> bytes:
            assert (kept, of) == (ROW.secret, ROW.endpoint_id)
            return kept

    log = Log()
    of = webhooks(log, keeper=Keeper())
    added = asyncio.run(of.add("bank", ROW.url, event_types=[DECISION_MADE]))
    turned = asyncio.run(of.rotate(ROW, overlap=timedelta(hours=1)))
    for act, new in zip(log.acts, (added, turned), strict=True):
        row, key = act.rows
        assert (row, key) == (new.row, SubjectKeyRow(b"key", new.row.endpoint_id.encode(), 1, b"wrapped", NOW))
        assert new.row.secret == b"sealed " + new.secret


def test_an_address_that_must_not_be_reached_is_no_endpoint() -> None:
    def check(url: str) -> None:
        raise InvalidInputError(f"{url}: must not be reached")

    log = Log()
    with pytest.raises(InvalidInputError, match="must not be reached"):
        asyncio.run(webhooks(log, check=check).add("bank", ROW.url, event_types=[DECISION_MADE]))
    assert log.acts == []


def test_who_was_quicker_than_a_receiver_that_is_gone_has_their_way() -> None:
    asyncio.run(webhooks(Log(refuses=True)).stop(ROW))


@pytest.mark.parametrize(
    "said",
    [
        {"by": ""},
        {"client_id": "no client"},
        {"url": "https://bank.example/" + "x" * 1980},
        {"url": "https://bank.example/4111111111111111"},
        {"event_types": []},
        {"event_types": ["decision.unmade"]},
    ],
)
def test_no_endpoint_is_added_of_what_will_not_do(said: dict[str, Any]) -> None:
    log = Log()
    given = {"client_id": "bank", "url": "https://bank.example/" + "x" * 1979, "event_types": [DECISION_MADE]} | said
    by = given.pop("by", "ada")
    with pytest.raises(InvalidInputError) as refused:
        asyncio.run(webhooks(log, by=by).add(given.pop("client_id"), given.pop("url"), **given))
    assert "4111" not in str(refused.value)
    assert log.acts == []


def test_an_endpoint_is_added_with_each_type_of_event_once_and_a_secret_of_its_own() -> None:
    log = Log()
    of = webhooks(log)
    url = "https://bank.example/" + "x" * 1979
    one, other = (
        asyncio.run(of.add("bank", url, event_types=[OUTCOME_REPORTED, DECISION_MADE, OUTCOME_REPORTED]))
        for _ in range(2)
    )
    assert one.row.event_types == (OUTCOME_REPORTED, DECISION_MADE)
    assert (one.row.state, one.row.url, one.row.secret) == ("active", url, one.secret)
    assert len({one.row.endpoint_id, other.row.endpoint_id, one.secret, other.secret}) == 4
    assert [it.kind for it in log.acts] == ["webhook.added"] * 2
