"""What is written stands whole, or a clear word why it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from obligor.core.errors import InvalidInputError
from obligor.files import whole_file, whole_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("lend", [whole_file, whole_folder])
def test_below_a_file_there_is_no_room_and_the_path_is_told(lend: object, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    wanted = tmp_path / "taken" / "deeper" / "out"
    with pytest.raises(InvalidInputError, match="out: no folder can be there"), lend(wanted):  # type: ignore[operator]
        pytest.fail("lent a path where none can be")


def test_what_fails_within_is_not_told_of_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "out") as partial:
        partial.with_name("not there").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_its_place_only_whole(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"before")

    def break_off() -> None:
        with whole_file(tmp_path / "out") as partial:
            partial.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert (tmp_path / "out").read_bytes() == b"before"
    with whole_file(tmp_path / "out") as partial:
        partial.write_bytes(b"after")
    assert [it.name for it in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_bytes() == b"after"
