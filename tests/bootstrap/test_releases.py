"""What is put in force, and taken up by a running service."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.stores import as_owner

from obligor.bootstrap.decisions import begin, open_releases, take_newest
from obligor.bootstrap.releases import Made, demonstration, put_in_force, read_run
from obligor.bootstrap.store import open_store
from obligor.core.errors import IntegrityError, InvalidInputError, PolicyError
from obligor.core.policy import parse_policy
from obligor.core.reasons import check_reasons
from obligor.ingestion.contract_file import load_contract
from obligor.security.signing import verify_statement
from obligor.serving.releases.release import PURPOSE, Releases, open_release
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demonstration_is_the_card_of_the_contract_that_is_shipped() -> None:
    """``python scripts/demo_release.py`` makes it anew."""
    with as_file(files("obligor.ingestion") / "simulated-lender.yaml") as path:
        contract = load_contract(path)
    made = demonstration()
    assert made.card.origin.contract_sha256 == contract.sha256
    assert check_reasons(made.card) == ()


def test_a_folder_without_a_card_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="wanted the folder of a run"):
        read_run(tmp_path)


def test_a_policy_of_another_card_is_not_put_in_force(tmp_path: Path) -> None:
    made = demonstration()
    (tmp_path / "scorecard.json").write_bytes(made.card.model_copy(update={"name": "other"}).to_json())
    (tmp_path / "policy.json").write_bytes(made.policy.to_json())
    with pytest.raises(PolicyError, match="belongs to the card"):
        read_run(tmp_path)


def test_a_release_is_the_next_number_and_is_trusted_only_as_it_was_signed(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBLIGOR_AUTHOR", "ada")
    settings = read_settings({"OBLIGOR_DATA": str(tmp_path), "OBLIGOR_ANCHORS": "off"})
    first = demonstration()
    policy = parse_policy(first.policy.model_copy(update={"grey": first.policy.grey + 1000}).to_json())

    async def play() -> None:
        async with open_store(store_url, settings) as store:
            releases = Releases(store.archive)
            one = await put_in_force(store, first)
            two = await put_in_force(store, Made(first.card, policy))
            assert (one.number, two.number) == (1, 2)
            stored = await store.archive.release()
            assert stored is not None

            def signed(statement: bytes, signature: bytes) -> bool:
                return verify_statement(statement, signature, purpose=PURPOSE, key=store.key.verifier)

            opened = open_release(stored, signed=signed)
            assert opened.policy == policy
            assert releases.take(opened)
            assert not releases.take(one)  # a lower number is never taken up again
            assert releases.current is opened
            pinned = await releases.pinned(one.pins)
            assert pinned.policy == first.policy
            for broken in (replace(stored, number=3), replace(stored, policy=first.policy.to_json())):
                with pytest.raises(IntegrityError, match="not what was signed"):
                    open_release(broken, signed=signed)
            with pytest.raises(IntegrityError, match="does not bear the signature"):
                open_release(replace(stored, signature=bytes(64)), signed=signed)

    asyncio.run(play())


def test_of_two_services_that_begin_at_once_with_one_run_both_begin_and_one_puts_it_in_force(
    store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path))
    settings = read_settings(os.environ)

    async def main() -> None:
        async with open_store(store_url, settings) as one, open_store(store_url, settings) as other:
            await asyncio.gather(*(begin(store, demonstration(), lambda _: None) for store in (one, other)))
            stored = await one.archive.release()
            assert stored is not None
            assert stored.number == 1

    asyncio.run(main())


def test_a_release_whose_row_was_taken_away_stays_in_force_and_none_before_it_is_begun_with(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F25, F36: who owns the store deletes the row of the second release, as it would be of an enforced gate."""
    monkeypatch.setenv("OBLIGOR_AUTHOR", "ada")
    settings = read_settings({"OBLIGOR_DATA": str(tmp_path), "OBLIGOR_ANCHORS": "off"})
    first, told = demonstration(), "release 2 of the log is no longer kept"
    policy = parse_policy(first.policy.model_copy(update={"grey": first.policy.grey + 1000}).to_json())

    async def play() -> None:
        async with open_store(store_url, settings) as store:
            await put_in_force(store, first)
            behind = await open_releases(store)
            await put_in_force(store, Made(first.card, policy))
            running = await open_releases(store)
            with psycopg.connect(as_owner(store_url)) as owner:
                owner.execute("SET session_replication_role = replica")
                owner.execute("DELETE FROM obligor.release WHERE number = 2")
            await take_newest(store, running, NoMeter())
            assert running.current.number == 2
            with pytest.raises(IntegrityError, match=told):
                await take_newest(store, behind, NoMeter())
            for beginning in (begin(store, None, lambda _: None), open_releases(store), put_in_force(store, first)):
                with pytest.raises(IntegrityError, match=told):
                    await beginning

    asyncio.run(play())
