from __future__ import annotations

import multiprocessing
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.anchors.notes import note

from obligor.adapters.anchors.file import FileAnchor
from obligor.core.errors import AuditError, IntegrityError, RollbackError, SplitViewError, UnavailableError


def test_a_checkpoint_is_kept_whole_and_its_line_after_it(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchors")
    assert anchor.latest() is None
    assert not (tmp_path / "anchors").exists()
    anchor.publish(note(3))
    anchor.publish(note(12))
    assert anchor.latest() == note(12)
    kept = sorted(path.name for path in (tmp_path / "anchors").iterdir())
    assert kept == ["00000000000000000003.checkpoint", "00000000000000000012.checkpoint", "checkpoints.log"]
    lines = (tmp_path / "anchors" / "checkpoints.log").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["3", "12"]


def test_the_same_checkpoint_once_more_changes_nothing(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path)
    anchor.publish(note(3))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    anchor.publish(note(3))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["true", "forged"])), max_size=12))
@settings(max_examples=40)
def test_whatever_is_published_an_anchor_keeps_one_root_for_one_size_and_never_goes_back(
    wishes: list[tuple[int, str]],
) -> None:
    with TemporaryDirectory() as folder:
        anchor = FileAnchor(Path(folder))
        kept: list[tuple[int, str]] = []
        for size, history in wishes:
            newest = kept[-1] if kept else (-1, history)
            if size > newest[0]:
                anchor.publish(note(size, history))
                kept.append((size, history))
            elif (size, history) == newest:
                anchor.publish(note(size, history))
            else:
                with pytest.raises(SplitViewError if size == newest[0] else RollbackError):
                    anchor.publish(note(size, history))
            assert anchor.latest() == note(*kept[-1])
        files = sorted(Path(folder).glob("*.checkpoint"))
        assert [path.read_bytes() for path in files] == [note(*each) for each in kept]


def test_an_old_checkpoint_played_again_is_refused_by_its_sizes(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path)
    anchor.publish(note(3))
    anchor.publish(note(12))
    with pytest.raises(RollbackError, match=r"got a checkpoint of 3 leaves and has one of 12") as refused:
        anchor.publish(note(3))
    assert refused.value.size == 12


def test_another_root_for_a_known_size_is_a_split_view(tmp_path: Path) -> None:
    FileAnchor(tmp_path).publish(note(3))
    with pytest.raises(SplitViewError, match="another root for the log of 3 leaves"):
        FileAnchor(tmp_path).publish(note(3, "forged"))


def test_a_folder_keeps_one_log(tmp_path: Path) -> None:
    FileAnchor(tmp_path).publish(note(3))
    with pytest.raises(IntegrityError, match=r"keeps the log bank.example/log, got the log another.example/log"):
        FileAnchor(tmp_path).publish(note(4, origin="another.example/log"))


def test_a_checkpoint_that_was_altered_in_the_folder_is_told(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path)
    anchor.publish(note(3))
    path = tmp_path / "00000000000000000003.checkpoint"
    path.chmod(0o644)
    path.write_bytes(note(3, "forged"))
    with pytest.raises(IntegrityError, match="is not the checkpoint that its log names"):
        anchor.latest()
    with pytest.raises(IntegrityError, match="is not the checkpoint that its log names"):
        anchor.publish(note(4))


def test_a_checkpoint_that_was_removed_from_the_folder_is_told(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path)
    anchor.publish(note(3))
    (tmp_path / "00000000000000000003.checkpoint").unlink()
    with pytest.raises(IntegrityError, match="there is no such file"):
        anchor.latest()


def test_what_is_no_checkpoint_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(AuditError):
        FileAnchor(tmp_path).publish(b"200 OK")
    assert list(tmp_path.iterdir()) == []


def test_after_a_stop_between_the_file_and_its_line_the_same_checkpoint_is_taken_up(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path)
    anchor.publish(note(3))
    (tmp_path / "00000000000000000005.checkpoint").write_bytes(note(5))
    assert anchor.latest() == note(3)
    with pytest.raises(SplitViewError):
        anchor.publish(note(5, "forged"))
    anchor.publish(note(5))
    assert anchor.latest() == note(5)


@pytest.mark.parametrize("torn", [b"", b"12", b"12 0f3a", b"12 0f3a\n", b"12 " + b"a" * 64])
def test_a_line_that_a_stop_tore_counts_for_nothing(tmp_path: Path, torn: bytes) -> None:
    anchor = FileAnchor(tmp_path)
    anchor.publish(note(3))
    with (tmp_path / "checkpoints.log").open("ab") as log:
        log.write(torn)
    assert anchor.latest() == note(3)
    anchor.publish(note(12))
    assert anchor.latest() == note(12)


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "anchors").write_text("a file where the folder should be")
    with pytest.raises(UnavailableError, match="the folder did not do its part"):
        FileAnchor(tmp_path / "anchors").publish(note(3))


@pytest.mark.parametrize("after", ["removed", "emptied", "begun anew by another", "without its list"])
def test_a_folder_that_is_gone_is_not_begun_anew_until_it_is_back(tmp_path: Path, after: str) -> None:
    folder, aside = tmp_path / "anchors", tmp_path / "aside"
    FileAnchor(folder).publish(note(3))
    anchor = FileAnchor(folder)
    assert anchor.latest() == note(3)
    shutil.copytree(folder, aside)
    if after == "without its list":
        (folder / "checkpoints.log").unlink()
    else:
        shutil.rmtree(folder)
    if after == "emptied":
        folder.mkdir()
    if after == "begun anew by another":
        FileAnchor(folder).publish(note(5))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            anchor.publish(note(12))
    assert folder.exists() == (after != "removed")
    assert not (folder / "00000000000000000012.checkpoint").exists()
    shutil.copytree(aside, folder, dirs_exist_ok=True)
    anchor.publish(note(12))
    assert anchor.latest() == note(12)


def _publish_every(folder: str, sizes: range) -> None:
    anchor = FileAnchor(Path(folder))
    for size in sizes:
        with suppress(RollbackError):
            anchor.publish(note(size))


def test_processes_that_share_a_folder_do_not_tear_its_log(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_publish_every, args=(str(tmp_path), range(first, 60, 3))) for first in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    sizes = [int(line.split()[0]) for line in (tmp_path / "checkpoints.log").read_text().splitlines()]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == 59
    assert {f"{size:020d}.checkpoint" for size in sizes} == {path.name for path in tmp_path.glob("*.checkpoint")}


def test_nobody_writes_over_a_checkpoint_by_accident(tmp_path: Path) -> None:
    FileAnchor(tmp_path).publish(note(3))
    assert (tmp_path / "00000000000000000003.checkpoint").stat().st_mode & 0o777 == 0o444
