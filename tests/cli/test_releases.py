"""`obligor releases rollback` and `recover`: what was before comes back as the next release, what was lost as it was."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.bootstrap.test_law import card_of, policy_of
from tests.serving import golden_decisions as golden
from tests.serving.gated import profile_of
from tests.stores import as_owner

from obligor.bootstrap.releases import Made, demonstration, put_in_force
from obligor.bootstrap.store import open_store
from obligor.core.errors import IntegrityError
from obligor.core.profile import EVERYTHING_OFF
from obligor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def test_a_profile_that_a_row_was_given_is_not_signed_by_a_roll_back(call: Call, url: str) -> None:
    activate(url, FIRST, SECOND)

    async def enforced() -> None:
        from obligor.serving.releases.releasing import activate as put

        async with open_store(url, read_settings(os.environ)) as store:
            await put(
                card=SECOND.card, policy=SECOND.policy, profile=profile_of(kyc="enforce"), by="cora",
                archive=store.archive, recorder=store.recorder, key=store.key, sources=store.sources,
            )  # fmt: skip

    asyncio.run(enforced())
    lose(
        url, "UPDATE obligor.release SET profile_sha256 = (SELECT profile_sha256 FROM obligor.release WHERE number = 1)"
    )
    code, _, err = call("olga", "releases", "rollback")
    assert (code, "release 3: what is kept is not what the log tells of" in err) == (1, True), err
    assert len(releases(call)) == 3


def test_why_is_kept_and_holds_no_number_of_a_card(call: Call, url: str) -> None:
    activate(url, FIRST, SECOND)
    code, _, err = call("olga", "releases", "rollback", "--because", "of 4111 1111 1111 1111")
    assert (code, "payment card" in err, "4111" in err) == (2, True, False)
    assert len(releases(call)) == 2


def test_who_puts_a_card_in_force_is_told_which_applications_are_refused_from_now_on(
    call: Call, url: str, tmp_path: Path
) -> None:
    card = golden.whole_card()
    for run, made in {"other": Made(card, golden.policy_of(card)), "alike": SECOND}.items():
        (tmp_path / run).mkdir()
        (tmp_path / run / "scorecard.json").write_bytes(made.card.to_json())
        (tmp_path / run / "policy.json").write_bytes(made.policy.to_json())
    activate(url, FIRST)
    code, out, _ = call("rita", "releases", "activate", str(tmp_path / "other"))
    said = dict(it.split(": ") for it in out.splitlines()[1:])
    assert (code, said["applications without these fields are refused now"]) == (0, "income, owner, amount, applied_on")
    assert "annual_income" in said["applications with these are refused now"].split(", ")
    told = json.loads(call("olga", "releases", "rollback", "--json")[1])
    assert {"amount", "applied_on", "income", "owner"} <= set(told["fields_dropped"])
    assert "annual_income" in told["fields_added"]
    assert len(call("rita", "releases", "activate", str(tmp_path / "alike"))[1].splitlines()) == 1


def test_a_card_of_sources_that_an_active_pack_forbids_does_not_come_back(
    call: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate(url, Made(card_of(FIRST, sick=True), policy_of(FIRST, sick=False)), SECOND)
    monkeypatch.setenv("OBLIGOR_PACKS", "EU-CCD2")
    code, _, err = call("olga", "releases", "rollback")
    assert (code, "leave: 'hospital' tells data of health" in err) == (1, True)
    assert len(releases(call)) == 2


# What was lost comes back


def lose(url: str, *statements: str) -> None:
    with psycopg.connect(as_owner(url), autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")  # past what keeps the tables as they are
        for statement in statements:
            owner.execute(statement.encode())


def kept(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT * FROM obligor.release ORDER BY number").fetchall()


LOST = "DELETE FROM obligor.release WHERE number = 2"


def test_a_lost_release_comes_back_as_it_was_signed_and_services_start_again(call: Call, url: str) -> None:
    activate(url, FIRST, SECOND)
    before = kept(url)
    lose(url, LOST)
    with pytest.raises(IntegrityError, match="release 2 of the log is no longer kept"):
        activate(url, FIRST)
    code, out, err = call("olga", "releases", "recover", "--because", "case 4711", "--json")
    assert (code, err, json.loads(out)["recovered"]) == (0, "", 2)
    assert kept(url) == before
    with psycopg.connect(url) as connection:
        (body,) = connection.execute(
            "SELECT convert_from(record.body, 'UTF8')::json FROM obligor.record JOIN obligor.leaf ON index = leaf_index "
            "WHERE kind = 'release.recovered'"
        ).fetchone() or ({},)
    assert (body["number"], body["by"], body["because"], body["artefacts"]) == (2, "olga", "case 4711", [])
    assert call("vera", "audit", "verify", "--quiet") == (0, "", "")
    activate(url, FIRST)
    code, _, err = call("olga", "releases", "recover")
    assert (code, "there is nothing to put back" in err) == (1, True)


def test_an_earlier_release_comes_back_by_its_number(call: Call, url: str) -> None:
    activate(url, FIRST, SECOND)
    before = kept(url)
    lose(url, "DELETE FROM obligor.release WHERE number = 1")
    assert call("vera", "audit", "verify", "--quiet")[0] == 1
    code, _, err = call("olga", "releases", "rollback")
    assert (code, "release 1 is no longer kept" in err, "obligor releases recover 1 puts it back" in err) == (
        1,
        True,
        True,
    )
    assert call("olga", "releases", "recover", "1")[0] == 0
    assert kept(url) == before
    assert call("vera", "audit", "verify", "--quiet") == (0, "", "")
    code, _, err = call("olga", "releases", "recover", "7")
    assert (code, "the log tells of no release 7" in err) == (1, True)
    assert rolled_back(call) == FIRST.policy.sha256


def test_a_roll_back_does_not_pass_over_a_lost_release_that_had_the_card_and_policy_in_force(
    call: Call, url: str
) -> None:
    activate(url, FIRST, SECOND, SECOND)
    lose(url, LOST)
    code, _, err = call("olga", "releases", "rollback")
    assert (code, "obligor releases recover 2 puts it back" in err) == (1, True)
    assert call("olga", "releases", "recover", "2")[0] == 0
    assert rolled_back(call) == FIRST.policy.sha256


def test_a_row_that_the_log_never_told_of_is_not_taken_for_a_release(call: Call, url: str) -> None:
    activate(url, FIRST, SECOND)
    before = kept(url)
    lose(
        url,
        "INSERT INTO obligor.release (number, card_sha256, policy_sha256, profile_sha256, at, by, statement, signature, "
        "leaf_index) SELECT 3, card_sha256, policy_sha256, profile_sha256, at, by, statement, signature, 900 "
        "FROM obligor.release WHERE number = 1",
    )
    code, _, err = call("olga", "releases", "recover", "3")
    assert (code, "the log tells of no release 3" in err) == (1, True)
    code, _, err = call("olga", "releases", "recover")  # the last one of the log stands
    assert (code, "release 2 is kept as the log tells of it" in err) == (1, True)
    code, _, err = call("olga", "releases", "rollback")
    assert (code, "the log tells of no release 3; it is not known what is in force" in err) == (1, True)
    with pytest.raises(IntegrityError, match="the log tells of no release 3"):
        activate(url, FIRST)
    assert call("vera", "audit", "verify", "--quiet")[0] == 1
    lose(url, "DELETE FROM obligor.release WHERE number = 3")
    assert kept(url) == before
    assert call("vera", "audit", "verify", "--quiet") == (0, "", "")


def test_lost_artefacts_are_taken_from_the_run_and_the_profile_that_the_log_names(
    call: Call, url: str, tmp_path: Path
) -> None:
    activate(url, FIRST, SECOND)
    before = kept(url)
    lose(url, LOST, "DELETE FROM obligor.artefact")
    code, _, err = call("olga", "releases", "recover")
    assert (code, "its card" in err, "with --run the folder of the run" in err) == (1, True, True)
    given = []
    for name, made in (("other", FIRST), ("run", SECOND)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scorecard.json").write_bytes(made.card.to_json())
        (tmp_path / name / "policy.json").write_bytes(made.policy.to_json())
        given.append(tmp_path / name)
    other, run = map(str, given)
    code, _, err = call("olga", "releases", "recover", "--run", other)
    assert (code, "the policy given is" in err) == (2, True)
    code, _, err = call("olga", "releases", "recover", "--run", run)
    assert (code, "its profile" in err, "with --profile" in err) == (1, True, True)
    (tmp_path / "profile.json").write_bytes(EVERYTHING_OFF.to_json())
    profile = str(tmp_path / "profile.json")
    assert call("olga", "releases", "recover", "--run", run, "--profile", profile)[0] == 0
    assert kept(url) == before
    assert call("olga", "releases", "recover", "1", "--run", other)[0] == 0  # its row stands; its policy was gone
    assert call("vera", "audit", "verify", "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("UPDATE obligor.record SET salt = decode(repeat('00', 16), 'hex')", "not the one that the log commits to"),
        ("DELETE FROM obligor.record", "is gone"),
        (
            "UPDATE obligor.artefact SET body = replace(encode(body, 'escape'), 'grey', 'gray')::bytea WHERE kind = 'policy'",
            "hash",
        ),
    ],
)
def test_a_release_that_is_not_proved_does_not_come_back(call: Call, url: str, changed: str, told: str) -> None:
    activate(url, FIRST, SECOND)
    for statement in ("ALTER TABLE obligor.record DISABLE TRIGGER append_only", LOST, changed):
        lose(url, statement)
    code, _, err = call("olga", "releases", "recover")
    assert (code, told in err) == (1, True), err
    assert len(kept(url)) == 1


def test_a_release_of_another_key_does_not_come_back(call: Call, url: str, tmp_path: Path) -> None:
    activate(url, FIRST, SECOND)
    lose(url, LOST)
    (tmp_path / "data" / "keys" / "audit-ed25519.pem").unlink()
    code, _, err = call("olga", "releases", "recover")
    assert (code, "does not bear the signature" in err) == (1, True), err
    assert len(kept(url)) == 1


@pytest.mark.parametrize(
    "changed", ["signature = decode(repeat('00', 64), 'hex')", "statement = 'x'", "by = 'x'", "leaf_index = 900"]
)
def test_a_row_that_was_changed_is_not_overwritten(call: Call, url: str, changed: str) -> None:
    activate(url, FIRST, SECOND)
    before = kept(url)
    lose(url, f"UPDATE obligor.release SET {changed} WHERE number = 2")
    code, _, err = call("olga", "releases", "recover")
    assert (code, "its row was changed" in err, "take row 2" in err) == (1, True, True)
    lose(url, LOST)
    assert call("olga", "releases", "recover")[0] == 0
    assert kept(url) == before
