"""`obligor releases rollback`: what was in force before comes back as the next release."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.bootstrap.test_law import card_of, policy_of
from tests.serving.gated import profile_of
from tests.stores import as_owner

from obligor.bootstrap.releases import Made, demonstration, put_in_force
from obligor.bootstrap.store import open_store
from obligor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, str, str]]

FIRST = demonstration()
THIRD = replace(FIRST, policy=FIRST.policy.model_copy(update={"grey": FIRST.policy.grey + 2}))
SECOND = replace(FIRST, policy=FIRST.policy.model_copy(update={"grey": FIRST.policy.grey + 1}))


def activate(url: str, *made: Any) -> None:
    async def activated() -> None:
        async with open_store(url, read_settings(os.environ)) as store:
            for each in made:
                await put_in_force(store, each, by="rita")

    asyncio.run(activated())


def releases(call: Call) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call("rita", "releases", "list", "--json")[1])["releases"]
    return found


def what(release: dict[str, Any]) -> tuple[str, str]:
    return release["card_sha256"], release["policy_sha256"]


def test_what_was_in_force_before_comes_back_as_the_next_release_under_the_profile_in_force(
    call: Call, url: str
) -> None:
    activate(url, FIRST, SECOND)

    async def other_profile() -> None:
        from obligor.serving.releases.releasing import activate as put

        async with open_store(url, read_settings(os.environ)) as store:
            await put(
                card=SECOND.card, policy=SECOND.policy, profile=profile_of(kyc="monitor"), by="cora",
                archive=store.archive, recorder=store.recorder, key=store.key, sources=store.sources,
            )  # fmt: skip

    asyncio.run(other_profile())
    code, out, err = call("olga", "releases", "rollback", "--because", "too many approvals", "--json")
    assert (code, err, json.loads(out)["release"]) == (0, "", 4)
    back, profiled, second, first = releases(call)
    assert (what(back), back["by"]) == (what(first), "olga")
    assert back["profile_sha256"] == profiled["profile_sha256"] != first["profile_sha256"]
    with psycopg.connect(url) as connection:
        (said,) = connection.execute(
            "SELECT convert_from(record.body, 'UTF8')::json FROM obligor.record JOIN obligor.leaf ON index = leaf_index "
            "WHERE kind = 'release' ORDER BY index DESC LIMIT 1"
        ).fetchone() or ({},)
    assert (said["number"], said["puts_back"], said["because"], said["by"]) == (4, 1, "too many approvals", "olga")
    assert call("vera", "audit", "verify", "--quiet") == (0, "", "")
    code, _, err = call("olga", "releases", "rollback")  # what was rolled back is not gone forth to again
    assert (code, "no other card or policy was in force before" in err) == (1, True)
    assert what(releases(call)[0]) != what(second)


def test_each_roll_back_goes_to_the_release_before_the_one_that_the_last_one_put_back(call: Call, url: str) -> None:
    activate(url, FIRST, SECOND, THIRD, THIRD)
    assert [rolled_back(call) for _ in range(2)] == [SECOND.policy.sha256, FIRST.policy.sha256]
    assert call("olga", "releases", "rollback")[0] == 1
    activate(url, THIRD)
    assert rolled_back(call) == FIRST.policy.sha256, "what was rolled back is not what was in force before"
    activate(url, SECOND)
    activate(url, FIRST)
    assert [rolled_back(call) for _ in range(2)] == [SECOND.policy.sha256, FIRST.policy.sha256]
    assert call("olga", "releases", "rollback")[0] == 1


def rolled_back(call: Call) -> str:
    assert call("olga", "releases", "rollback")[0] == 0
    policy: str = releases(call)[0]["policy_sha256"]
    return policy


def test_there_is_nothing_to_go_back_to_before_another_card_or_policy_was_in_force(call: Call, url: str) -> None:
    for made in ((), (FIRST, FIRST)):
        activate(url, *made)
        before = len(made)
        code, _, err = call("olga", "releases", "rollback")
        assert (code, "no other card or policy was in force before" in err) == (1, True)
        assert len(releases(call)) == before


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("DELETE FROM obligor.artefact WHERE sha256 = '{policy}'", "is gone"),
        (
            "UPDATE obligor.artefact SET body = replace(encode(body, 'escape'), 'grey', 'gray')::bytea WHERE sha256='{policy}'",
            "hash",
        ),
        (
            "UPDATE obligor.release SET signature = decode(repeat('00', 64), 'hex') WHERE number = 1",
            "not what the log tells of",
        ),
    ],
)
def test_what_is_not_kept_as_it_was_signed_does_not_come_back(call: Call, url: str, changed: str, told: str) -> None:
    activate(url, FIRST, SECOND)
    with psycopg.connect(as_owner(url), autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")  # past what keeps the tables as they are
        owner.execute(changed.format(policy=FIRST.policy.sha256).encode())
    code, _, err = call("olga", "releases", "rollback")
    assert (code, told in err) == (1, True), err
    assert len(releases(call)) == 2


def test_why_is_kept_and_holds_no_number_of_a_card(call: Call, url: str) -> None:
    activate(url, FIRST, SECOND)
    code, _, err = call("olga", "releases", "rollback", "--because", "of 4111 1111 1111 1111")
    assert (code, "payment card" in err, "4111" in err) == (2, True, False)
    assert len(releases(call)) == 2


def test_a_card_of_sources_that_an_active_pack_forbids_does_not_come_back(
    call: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate(url, Made(card_of(FIRST, sick=True), policy_of(FIRST, sick=False)), SECOND)
    monkeypatch.setenv("OBLIGOR_PACKS", "EU-CCD2")
    code, _, err = call("olga", "releases", "rollback")
    assert (code, "leave: 'hospital' tells data of health" in err) == (1, True)
    assert len(releases(call)) == 2
