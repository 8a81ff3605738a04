"""A decision pins the code that made it: other code has another name, also under the same version."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

import obligor
from obligor.build import code_in, running_code

if TYPE_CHECKING:
    from pathlib import Path


def test_the_same_files_have_one_name_wherever_they_lie(tmp_path: Path) -> None:
    lies = tmp_path / "elsewhere"
    shutil.copytree(obligor.__path__[0], lies, ignore=shutil.ignore_patterns("__pycache__", "*.yaml"))
    assert code_in(lies) == running_code()
    assert running_code().startswith(f"{obligor.__version__}+")


@pytest.mark.parametrize("change", ["a byte", "a name", "one more", "one less", "over the edge"])
def test_other_code_has_another_name(tmp_path: Path, change: str) -> None:
    (tmp_path / "core").mkdir()
    first, second = tmp_path / "core" / "a.py", tmp_path / "core" / "b.py"
    first.write_text("x = 1\n")
    second.write_text("y = 2\n")
    before = code_in(tmp_path)
    match change:
        case "a byte":
            first.write_text("x = 2\n")
        case "a name":
            first.rename(tmp_path / "core" / "aa.py")
        case "one more":
            (tmp_path / "c.py").write_text("")
        case "one less":
            second.unlink()
        case _:
            first.write_text("x = 1\ncore/b.py 6\ny = 2\n")
            second.unlink()
    assert code_in(tmp_path) != before
