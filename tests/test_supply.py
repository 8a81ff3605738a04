"""What is installed is what was meant: packages by their hashes, and a wheel that anybody can make again (GOVERNANCE F28)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from tests.conftest import lack

ROOT = Path(__file__).parents[1]
LOCK: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
_INDEX = next(it["source"]["registry"] for it in LOCK if "registry" in it["source"])
_HASH = re.compile("sha256:[0-9a-f]{64}")
_BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "src")


def uv(*arguments: str, at: Path) -> str:
    if shutil.which("uv") is None:
        lack("uv", "uv is not here")
    done = subprocess.run(
        ["uv", *arguments],
        cwd=at,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Failed to fetch" in done.stderr or "network" in done.stderr.lower():
        lack("uv", "the build backend is neither kept nor reached")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_package_of_the_lock_comes_from_the_index_with_the_hash_of_each_file() -> None:
    for it in LOCK:
        if it["source"] == {"editable": "."}:
            continue
        assert it["source"] == {"registry": _INDEX}, it["name"]
        files = [*it.get("wheels", ()), *([it["sdist"]] if "sdist" in it else [])]
        assert files, it["name"]
        assert all(_HASH.fullmatch(file["hash"]) for file in files), it["name"]


def test_the_same_sources_give_the_same_wheel_wherever_and_whenever_it_is_made(tmp_path: Path) -> None:
    made = []
    for at, changed_at in (("one", 1_600_000_000), ("two", 1_700_000_000)):
        folder = tmp_path / at
        folder.mkdir()
        for name in _BUILT_FROM:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder)
        for it in folder.rglob("*"):
            os.utime(it, (changed_at, changed_at))
        uv("build", "--quiet", "--wheel", "--out-dir", str(tmp_path / f"{at}.out"), at=folder)
        (wheel,) = (tmp_path / f"{at}.out").glob("*.whl")
        made.append((wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest()))
    assert made[0] == made[1]


def test_the_bill_of_materials_names_what_the_lock_does() -> None:
    said = uv("export", "--quiet", "--frozen", "--no-dev", "--all-extras", "--format", "cyclonedx1.5", at=ROOT)
    found = {(it["name"], it["version"]) for it in json.loads(said)["components"]}
    assert {"psycopg", "fastapi", "grpcio", "cryptography", "msgspec"} <= {name for name, _ in found}
    assert found <= {(it["name"], it.get("version")) for it in LOCK}
