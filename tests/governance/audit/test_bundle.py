"""A bundle shows a regulator the acts of a period, complete and unchanged, by a script that needs none of our code."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.governance.audit.logs import KEY, NOON, PINS, Lender, MemoryLog, log_of

from obligor.core.canonical import canonical_json, readable_json
from obligor.core.checkpoints import Checkpoint
from obligor.core.errors import IntegrityError, InvalidInputError
from obligor.core.leaves import parse_leaf, time_text
from obligor.governance.audit.anchored import AnchoredNote
from obligor.governance.audit.bundle import BundleSummary, Period, leaves_of, write_bundle
from obligor.governance.audit.standalone import verify
from obligor.progress import Silence
from obligor.serving.acts import Submission

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD = Period(NOON + timedelta(seconds=100), NOON + timedelta(seconds=200))
ALL = Period(NOON, NOON + timedelta(days=1))


def exported(folder: Path, log: MemoryLog, period: Period = PERIOD, anchors: tuple[bytes, ...] = ()) -> BundleSummary:
    lender = Lender(seed=2)
    lender.at = parse_leaf(log.kept[-1].body).at
    index = log.record(lender.export(period.since, period.until))
    notes = [AnchoredNote(f"file://anchor/{place}", note) for place, note in enumerate(anchors)]
    path = folder / "bundle.zip"
    return write_bundle(
        path, source=log, period=period, export_index=index, signer=KEY, anchors=notes, progress=Silence()
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = log_of(300)
    return exported(tmp_path_factory.mktemp("bundle"), log, anchors=tuple(note.note for note in log.notes)).path


def alone(folder: Path, bundle: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the verifier that came with the bundle, as somebody without our code does."""
    with zipfile.ZipFile(bundle) as file:
        (folder / "verify.py").write_bytes(file.read("verify.py"))
    command = [sys.executable, "-I", "verify.py", str(bundle), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_a_bundle_holds_by_its_own_verifier(bundle: Path, tmp_path: Path) -> None:
    done = alone(tmp_path, bundle, "--key", KEY.verifier.text())
    assert (done.returncode, done.stderr) == (0, "")
    assert "100 acts from 2026-11-26T12:01:40.000000Z" in done.stdout
    assert "3 artefacts" in done.stdout
    assert done.stdout.endswith("holds\n")
    assert "note   the key comes with the bundle" in alone(tmp_path, bundle).stdout
    empty = alone(tmp_path, bundle, "--key", "")  # a variable of the shell that was never set
    assert (empty.returncode, empty.stdout) == (1, "WRONG  key: wanted a key of the form name+id+base64\n")
    wrong = alone(tmp_path, bundle, "--key", KEY.verifier.text().replace("obligor-test", "another"))
    assert (wrong.returncode, wrong.stdout) == (1, "WRONG  key: the id of the key is not its own\n")


def test_the_verifier_is_short_and_needs_one_package() -> None:
    text = Path(verify.__file__).read_text()
    imported = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imported - sys.stdlib_module_names == {"cryptography"}
    assert len(text.splitlines()) < 500


def test_a_bundle_holds_the_acts_of_its_period_and_no_other_record(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as file:
        records = [json.loads(line) for line in file.read("records.jsonl").splitlines()]
        leaves = [json.loads(line) for line in file.read("leaves.jsonl").splitlines()]
        assert sum(name.startswith("artefacts/") for name in file.namelist()) == 3
        notes = [json.loads(file.read(it))["note"] for it in file.namelist() if it.startswith("checkpoints/")]
    assert [int(it.split("\n")[1]) for it in notes] == [
        it.size for it in log_of(300).notes if it.size > records[0]["index"]
    ]
    assert len(leaves) == len(records) + 2
    since, until = time_text(PERIOD.since), time_text(PERIOD.until)
    assert leaves[0]["at"] < since <= leaves[1]["at"]
    assert leaves[-2]["at"] < until <= leaves[-1]["at"]
    assert [record["index"] for record in records] == list(range(records[0]["index"], records[0]["index"] + 100))


def test_an_artefact_in_a_form_for_people_goes_out_as_the_bytes_of_its_hash(tmp_path: Path) -> None:
    log = log_of(60)
    log.artefacts_kept = [replace(it, body=readable_json(json.loads(it.body))) for it in log.artefacts_kept]
    with zipfile.ZipFile(exported(tmp_path, log, ALL).path) as file:
        found = {name: hashlib.sha256(file.read(name)).hexdigest() for name in file.namelist() if "artefacts/" in name}
    assert len(found) == 3
    assert all(name == f"artefacts/{sha256}.json" for name, sha256 in found.items())


def test_an_artefact_that_no_act_of_the_period_names_is_not_handed_out(tmp_path: Path) -> None:
    log = log_of(60)
    wanted = {it.sha256 for it in log.artefacts_kept}
    log.artefacts_kept.append(replace(log.artefacts_kept[0], sha256="0" * 64, body=b'{"card":"of another year"}'))
    with zipfile.ZipFile(exported(tmp_path, log, ALL).path) as file:
        assert {Path(it).stem for it in file.namelist() if it.startswith("artefacts/")} == wanted


def test_an_anchor_of_the_very_head_goes_out_too(tmp_path: Path) -> None:
    log = log_of(60)
    exported(tmp_path, log, ALL)
    head = AnchoredNote("file://anchor", log.checkpoint())
    path = tmp_path / "again.zip"
    said = {"period": ALL, "export_index": log.size - 1, "signer": KEY, "progress": Silence()}
    made = write_bundle(path, source=log, anchors=[head], **said)
    assert made.to_plain() == {"bundle": str(path), "acts": 70, "size": 70}
    with zipfile.ZipFile(path) as file:
        assert json.loads(file.read("anchors/0.json")) == {"place": head.place, "note": head.note.decode(), "proof": []}


def test_a_release_bears_the_signature_of_the_key_whatever_else_its_record_says(tmp_path: Path) -> None:
    def bundle_of(**said: object) -> Path:
        log, lender = log_of(60), Lender(seed=3)
        lender.at = parse_leaf(log.kept[-1].body).at
        (act,) = lender.release().acts
        record = canonical_json(json.loads(act.record) | said)
        log.record(Submission((structs.replace(act, record=record, rows=()),), lambda _: b""))
        return exported(tmp_path, log, ALL).path

    assert alone(tmp_path, bundle_of(puts_back=1, because="too many approvals")).returncode == 0
    for wrong in ({"by": "eve"}, {"signature": "00" * 64}, {"signature": "none"}):
        with pytest.raises(IntegrityError, match="release-signature at leaf 69: its signature is not true"):
            bundle_of(**wrong)


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    made = exported(first, log_of(120)).path
    assert made.read_bytes() == exported(second, log_of(120)).path.read_bytes()
    with zipfile.ZipFile(made) as file:
        told = {(it.date_time, it.external_attr >> 16, it.create_system) for it in file.infolist()}
    assert told == {((1980, 1, 1, 0, 0, 0), 0o644, 3)}  # as from any machine, and readable by whoever unpacks it


@settings(max_examples=30)
@given(st.integers(-5, 140), st.integers(1, 150))
def test_any_period_gives_a_bundle_that_holds(start: int, length: int) -> None:
    log = log_of(100)
    period = Period(NOON + timedelta(seconds=start), NOON + timedelta(seconds=start + length))
    wanted = [leaf.index for leaf in log.kept if period.since <= parse_leaf(leaf.body).at < period.until]
    assert list(leaves_of(log, period)) == wanted
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        assert exported(Path(folder), log, period).acts == len(leaves_of(log, period))


def test_a_period_without_length_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="has no length"):
        Period(NOON, NOON)


def test_no_bundle_is_made_of_a_log_that_does_not_hold(tmp_path: Path) -> None:
    log = log_of(300)
    log.kept[120] = replace(log.kept[120], record=b"{}")
    with pytest.raises(IntegrityError, match="WRONG  record-changed at leaf 120"):
        exported(tmp_path, log)
    assert list(tmp_path.iterdir()) == []
    for gone in ({"record": None}, {"salt": None}):
        log = log_of(300)
        log.kept[120] = replace(log.kept[120], **gone)
        with pytest.raises(IntegrityError, match="leaf 120: its record is not there"):
            exported(tmp_path, log)
    log = log_of(300)
    log.nodes_kept.clear()
    with pytest.raises(IntegrityError, match="of level 1: the log keeps 0 of them"):
        exported(tmp_path, log)
    log = log_of(300)
    middle = log.kept.pop(log.head() // 2).index
    with pytest.raises(IntegrityError, match=f"^leaf {middle} is not there"):
        leaves_of(log, PERIOD)
    ahead = log_of(310).notes[-1].note
    with pytest.raises(IntegrityError, match="keeps a log of"):
        exported(tmp_path, log_of(200), anchors=(ahead,))


def test_many_checkpoints_are_thinned(tmp_path: Path) -> None:
    log = log_of(300, every=1)
    with zipfile.ZipFile(exported(tmp_path, log, ALL).path) as file:
        names = [name for name in file.namelist() if name.startswith("checkpoints/")]
        assert len(names) == 200
        assert json.loads(file.read(names[-1]))["note"].encode() == log.notes[-1].note


# Tampering. Whoever changes a file also puts its new hash into the manifest, unless the test is of that.


def rewritten(bundle: Path, into: Path, change: Callable[[dict[str, bytes]], None], *, honest: bool = True) -> Path:
    with zipfile.ZipFile(bundle) as file:
        kept = {name: file.read(name) for name in file.namelist()}
    change(kept)
    if honest:
        manifest = json.loads(kept["manifest.json"])
        manifest["files"] = {
            name: hashlib.sha256(data).hexdigest() for name, data in kept.items() if name != "manifest.json"
        }
        kept["manifest.json"] = json.dumps(manifest).encode()
    path = into / "changed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in kept.items():
            file.writestr(name, data)
    return path


def judged(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert verify.main([str(path), "--key", KEY.verifier.text()]) == 1
    return capsys.readouterr().out.removeprefix("WRONG  ").split(":")[0]


def lines(name: str, change: Callable[[list[bytes]], None]) -> Callable[[dict[str, bytes]], None]:
    def changed(kept: dict[str, bytes]) -> None:
        told = kept[name].splitlines(keepends=True)
        change(told)
        kept[name] = b"".join(told)

    return changed


def without_event(kept: dict[str, bytes]) -> None:
    lines("leaves.jsonl", lambda told: told.__delitem__(40))(kept)
    lines("records.jsonl", lambda told: told.__delitem__(39))(kept)


def renumbered(kept: dict[str, bytes]) -> None:
    """Remove an event and close the gap in the numbers of the records."""
    without_event(kept)
    told = [json.loads(line) for line in kept["records.jsonl"].splitlines()]
    for number, record in enumerate(told):
        record["index"] = told[0]["index"] + number
    kept["records.jsonl"] = b"".join(json.dumps(record).encode() + b"\n" for record in told)


def hidden(kept: dict[str, bytes]) -> None:
    """Give the root itself as the hash of all leaves, so that what the leaves are would not matter."""
    checkpoint = kept["checkpoint.txt"].decode().split("\n")
    import base64

    kept["tree.json"] = json.dumps([[0, int(checkpoint[1]), base64.b64decode(checkpoint[2]).hex()]]).encode()


def twice(kept: dict[str, bytes]) -> None:
    """Give a range two hashes, of which readers may take either."""
    said = json.loads(kept["tree.json"])
    kept["tree.json"] = json.dumps([[*said[0][:2], "0" * 64], *said]).encode()


def widened(kept: dict[str, bytes]) -> None:
    manifest = json.loads(kept["manifest.json"])
    kept["manifest.json"] = json.dumps(manifest | {"from": time_text(NOON)}).encode()


def narrowed(kept: dict[str, bytes]) -> None:
    manifest = json.loads(kept["manifest.json"])
    kept["manifest.json"] = json.dumps(manifest | {"to": time_text(PERIOD.until - timedelta(seconds=1))}).encode()


def in_manifest(**said: Any) -> Callable[[dict[str, bytes]], None]:
    def change(kept: dict[str, bytes]) -> None:
        kept["manifest.json"] = json.dumps(json.loads(kept["manifest.json"]) | said).encode()

    return change


def in_tree(changed: Callable[[Any], Any]) -> Callable[[dict[str, bytes]], None]:
    def change(kept: dict[str, bytes]) -> None:
        kept["tree.json"] = json.dumps(changed(json.loads(kept["tree.json"]))).encode()

    return change


def head(size: int) -> str:
    """A head that the key of the log signed, of another log."""
    return KEY.sign_note(Checkpoint(KEY.name, size, bytes(32)).text()).encode().decode()


def in_checkpoint(name: str, **said: Any) -> Callable[[dict[str, bytes]], None]:
    def change(kept: dict[str, bytes]) -> None:
        kept[name] = json.dumps(json.loads(kept[name]) | {"proof": []} | said).encode()

    return change


def swapped(one: str, other: str) -> Callable[[dict[str, bytes]], None]:
    def change(kept: dict[str, bytes]) -> None:
        kept[one], kept[other] = kept[other], kept[one]

    return change


def replaced(name: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(kept: dict[str, bytes]) -> None:
        assert old in kept[name]
        kept[name] = kept[name].replace(old, new, 1)

    return change


CARD, POLICY = (f"artefacts/{PINS[name]}.json" for name in ("card_sha256", "policy_sha256"))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (without_event, "record-missing at leaf 138"),
        (renumbered, "leaf-missing at leaf 199"),
        (lines("leaves.jsonl", lambda told: told.insert(5, told[5])), "record-changed at leaf 104"),
        (lines("leaves.jsonl", lambda told: told.__setitem__(slice(5, 7), told[6:4:-1])), "clock at leaf"),
        (lines("leaves.jsonl", lambda told: told.pop()), "period at leaf"),
        (lines("leaves.jsonl", lambda told: told.pop(0)), "period at leaf 98"),
        (lines("records.jsonl", lambda told: told.pop()), "record-missing at leaf"),
        (lines("records.jsonl", lambda told: told.pop(3)), "record-missing at leaf"),
        (lines("records.jsonl", lambda told: told.append(told[-1])), "record-stray"),
        (lines("records.jsonl", lambda told: told.__setitem__(slice(5, 7), told[6:4:-1])), "record-missing at leaf"),
        (replaced("records.jsonl", b'"index":99,', b'"index":99.0,'), "form"),
        (replaced("records.jsonl", b"Income is low", b"Income is loW"), "record-changed at leaf"),
        (replaced("leaves.jsonl", b"client:acme", b"client:acmf"), "root"),
        (replaced("leaves.jsonl", b'{"at"', b'{ "at"'), "leaf-form at leaf"),
        (hidden, "form"),
        (twice, "form"),
        (lambda kept: kept.update({"tree.json": b"\xef\xbb\xbf" + kept["tree.json"]}), "form"),
        (lambda kept: kept.update({"export.json": kept["export.json"].decode().encode("utf-16")}), "form"),
        (replaced("records.jsonl", b'"salt":"', b'"salt":" '), "record-form at leaf 99"),
        (widened, "period at leaf"),
        (narrowed, "record-stray"),
        (replaced("manifest.json", b'12:03:20.000000Z"', b'12:03:19.500000Z"'), "export at leaf"),
        (replaced("manifest.json", b'12:01:40.000000Z"', b'12:01:39.500000Z"'), "export at leaf"),
        (replaced("manifest.json", b"obligor/bundle/1", b"obligor/bundle/2"), "form"),
        (replaced("manifest.json", b'12:01:40.000000Z"', b'12:01:40Z"'), "form"),
        (replaced("manifest.json", b'12:03:20.000000Z"', b'12:03:20Z"'), "form"),
        (in_manifest(more=1), "form"),
        (in_manifest(first=None), "form"),
        (in_manifest(first=10**6), "leaf-beyond"),
        (lines("leaves.jsonl", lambda told: told.append(told.pop()[:-1])), "form"),
        (lambda kept: kept.update({"leaves.jsonl": b""}), "leaf-beyond"),
        (lambda kept: kept.update({"key.txt": b"\xff"}), "form"),
        (in_tree(lambda said: {}), "form"),
        (in_tree(lambda said: said * 300), "form"),
        (in_tree(lambda said: [said[0][:2], *said[1:]]), "form"),
        (in_tree(lambda said: [[*said[0][:2], "00"], *said[1:]]), "form"),
        (in_tree(lambda said: [[0, 10**6, "0" * 64], *said]), "form"),
        (in_tree(lambda said: [[5, 5, "0" * 64], *said]), "form"),
        (in_tree(lambda said: said[1:]), "leaf-missing at leaf"),
        (in_tree(lambda said: [[*said[0][:2], "0" * 64], *said[1:]]), "root"),
        (swapped(CARD, POLICY), "artefact-changed at leaf"),
        (replaced(CARD, b":", b": "), "artefact-changed at leaf"),
        (lambda kept: kept.pop(CARD), "artefact-missing at leaf"),
        (swapped("checkpoints/0.json", "export.json"), "form"),
        (replaced("anchors/1.json", b'"proof"', b'"prooF"'), "form"),
        (replaced("checkpoints/1.json", b'"proof"', b'"prooF"'), "form"),
        (in_checkpoint("checkpoints/0.json", note=7), "form"),
        (in_checkpoint("checkpoints/0.json", note=head(60)), "checkpoint-root"),
        (in_checkpoint("anchors/0.json", note=head(60)), "rewritten"),
        (in_checkpoint("anchors/0.json", note=head(10**6)), "rolled-back at leaf"),
        (lambda kept: kept.update({"anchors/0.json": b"[]"}), "form"),
        (lambda kept: kept.pop("export.json"), "file-missing"),
        (lambda kept: kept.update({"../evil.py": b"x"}), "zip"),
        (lambda kept: kept.update({"artefacts/readme.txt": b"x"}), "zip"),
        (lambda kept: kept.update({"README.txt": bytes(2_000_000)}), "zip"),
        (replaced("key.txt", b"obligor-test", b"obligor-tesu"), "key"),
        (replaced("leaves.jsonl", b"client:acme", b"client:\\ud800"), "unreadable"),
        (replaced("export.json", b"obligor/leaf", b"\\ud800/leaf"), "unreadable"),
    ],
)
def test_what_is_wrong_with_a_bundle_is_named(
    bundle: Path,
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], Any],
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert judged(rewritten(bundle, tmp_path, change), capsys).startswith(kind)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (without_event, "file-changed"),
        (swapped(CARD, POLICY), "file-changed"),
        (lambda kept: kept.pop("anchors/0.json"), "file-missing"),
        (lambda kept: kept.update({"anchors/99.json": b"{}"}), "file-extra"),
        (lambda kept: kept.pop("manifest.json"), "file-missing"),
        (lambda kept: kept.update({"manifest.json": b"[]"}), "form"),
        (in_manifest(files=[]), "form"),
        (in_manifest(files=None), "form"),
    ],
)
def test_a_file_that_is_not_the_one_of_the_manifest_is_named(
    bundle: Path,
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], Any],
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert judged(rewritten(bundle, tmp_path, change, honest=False), capsys) == kind


@pytest.mark.parametrize(
    ("limit", "kind"),
    [
        ("MOST_FILES", "zip"),
        ("MOST_SMALL", "zip"),
        ("MOST_LARGE", "zip"),
        ("MOST_LINE", "form"),
        ("MOST_PROOF", "form"),
    ],
)
def test_a_bundle_that_is_larger_than_one_may_be_is_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: str, kind: str
) -> None:
    monkeypatch.setattr(verify, limit, 1)
    assert judged(bundle, capsys) == kind


@pytest.mark.parametrize("text", [bytes(1_000_000), os.urandom(2_000_000)], ids=["short", "dense"])
def test_what_is_large_or_packs_well_is_no_bomb_unless_it_is_both(bundle: Path, tmp_path: Path, text: bytes) -> None:
    changed = rewritten(bundle, tmp_path, lambda kept: kept.update({"README.txt": text}))
    assert verify.main([str(changed), "--key", KEY.verifier.text()]) == 0


def test_who_was_given_no_key_is_told_to_compare_the_one_of_the_bundle(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = f"note   the key comes with the bundle; compare it with the one you know: {KEY.verifier.text()}"
    for more, told in (((), True), (("--key", KEY.verifier.text()), False)):
        assert verify.main([str(bundle), *more]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[0].startswith(f"log {KEY.name}: ")
        with zipfile.ZipFile(bundle) as file:
            others = sum(name.startswith(("checkpoints/", "anchors/")) for name in file.namelist())
        assert shown[1].endswith(f", {others} other checkpoints")
        assert shown[-1] == "holds"
        assert (note in shown) is told


def test_a_release_needs_its_artefacts_too_and_a_log_that_was_set_back_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, lender = MemoryLog(), Lender()
    for submission in lender.day(0):
        log.record(submission)
    index = log.record(
        Submission((lender.act("restore.acknowledged", "person:ada", "1", {"size": 2}, ()),), lambda _: b"")
    )
    path = exported(tmp_path, log, ALL).path
    assert verify.main([str(path), "--key", KEY.verifier.text()]) == 0
    told = f"note   leaf {index}: person:ada acknowledged that the log was set back to 2 leaves"
    assert told in capsys.readouterr().out.splitlines()
    for name in (CARD, POLICY):
        missing = judged(rewritten(path, tmp_path, lambda kept, name=name: kept.pop(name)), capsys)
        assert missing == f"artefact-missing at leaf {index - 1}"


def test_an_anchor_of_another_log_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(tmp_path, log_of(300)).path
    other = MemoryLog()
    for submission in Lender(seed=9).day(60):
        other.record(submission)
    foreign = {"place": "elsewhere", "note": other.checkpoint().decode(), "proof": []}
    changed = rewritten(path, tmp_path, lambda kept: kept.update({"anchors/0.json": json.dumps(foreign).encode()}))
    assert judged(changed, capsys) == "rewritten"


def test_the_receipt_of_the_export_must_be_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(tmp_path, log_of(60), ALL).path
    receipt = json.loads(zipfile.ZipFile(path).read("export.json"))
    other = {**receipt, "index": 0}
    assert judged(
        rewritten(path, tmp_path, lambda kept: kept.update({"export.json": json.dumps(other).encode()})), capsys
    ).startswith("proof at leaf 0")


def test_the_receipt_of_the_export_must_show_what_was_exported(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def public(kept: dict[str, bytes]) -> None:
        receipt = json.loads(kept["export.json"])
        kept["export.json"] = json.dumps({name: receipt[name] for name in receipt.keys() - {"record", "salt"}}).encode()

    assert judged(rewritten(bundle, tmp_path, public), capsys).startswith("export at leaf")


def test_the_receipt_of_the_export_must_lead_to_the_root_that_the_bundle_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, elsewhere = exported(tmp_path, log_of(60), ALL).path, tmp_path / "elsewhere"
    elsewhere.mkdir()
    forked = exported(elsewhere, log_of(60, seed=5), ALL).path  # signed by the same key, and as long
    receipt = zipfile.ZipFile(forked).read("export.json")
    changed = rewritten(path, tmp_path, lambda kept: kept.update({"export.json": receipt}))
    assert judged(changed, capsys).startswith("export at leaf")


@given(st.data())
def test_a_bit_that_flips_is_seen_or_changes_nothing(bundle: Path, data: st.DataObject) -> None:
    whole = bundle.read_bytes()
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    bent = bytearray(whole)
    bent[at] ^= 1 << bit
    path = bundle.with_name("bent.zip")
    path.write_bytes(bent)
    if verify.main([str(path), "--key", KEY.verifier.text()]) == 0:  # a time or a right of the zip itself
        with zipfile.ZipFile(path) as one, zipfile.ZipFile(bundle) as other:
            assert {name: one.read(name) for name in one.namelist()} == {
                name: other.read(name) for name in other.namelist()
            }


def test_what_is_no_bundle_is_refused_without_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for data in (b"", b"PK\x05\x06" + bytes(18), b"PK\x05\x06" + b"\xff" * 18):
        (tmp_path / "it.zip").write_bytes(data)
        judged(tmp_path / "it.zip", capsys)
    judged(tmp_path / "none.zip", capsys)
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as file:
        file.writestr("key.txt", b"a")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("key.txt", b"b")
    (tmp_path / "it.zip").write_bytes(twice.getvalue())
    assert judged(tmp_path / "it.zip", capsys) == "zip"
    shutil.rmtree(tmp_path)
