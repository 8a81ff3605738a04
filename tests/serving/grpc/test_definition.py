"""The definition of the gRPC door, and the Python that is written from it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from obligor.serving.errors import ANSWERS
from obligor.serving.grpc.decisions_pb2 import DESCRIPTOR

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("grpc_code", ROOT / "scripts" / "grpc_code.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_python_of_the_door_is_what_its_definition_gives(script: ModuleType) -> None:
    for name, text in script.generate().items():
        assert (script.HOME / name).read_text() == text, "run scripts/grpc_code.py"


def test_go_and_java_make_code_of_it_without_more_words() -> None:
    options = DESCRIPTOR.GetOptions()
    assert (options.go_package, options.java_multiple_files) == ("obligor/v1;obligorv1", True)


def test_a_linter_of_definitions_accepts_it(script: ModuleType, tmp_path: Path) -> None:
    """Buf's standard rules and comments on everything; the service is called Decisions, not DecisionsService."""
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    if buf is None:
        pytest.skip("there is no buf for this machine")
    script.write_image(tmp_path / "image.binpb")
    rules = {"version": "v2", "lint": {"use": ["STANDARD", "COMMENTS"], "except": ["SERVICE_SUFFIX"]}}
    done = subprocess.run(
        [buf, "lint", "image.binpb", "--path", "obligor/v1", "--config", json.dumps(rules)],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_tells_every_call_and_every_refusal() -> None:
    page = (ROOT / "docs" / "reference" / "grpc.md").read_text()
    for call in DESCRIPTOR.services_by_name["Decisions"].methods:
        assert f"| `{call.name}`" in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for kind, answer in ANSWERS.items():
        row = next(it for it in rows if it.startswith(f"| `{kind.upper()}`"))
        assert f"`{answer.code}`" in row
        assert str(answer.status) in row
