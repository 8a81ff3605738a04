"""Writes the Python of the gRPC door from its definition: ``python scripts/grpc_code.py``.

The definition calls itself `obligor/v1/decisions.proto`, as those who call the service see it; its Python stands beside it, in
`obligor.serving.grpc`. What is written depends on the version of grpcio-tools, which the lock file holds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "src" / "obligor" / "serving" / "grpc"
NAMES = ("decisions_pb2.py", "decisions_pb2.pyi", "decisions_pb2_grpc.py")
_PROTO = "obligor/v1/decisions.proto"


def generate() -> dict[str, str]:
    """Give the text of each generated file by its name."""
    with tempfile.TemporaryDirectory(prefix="obligor-grpc-") as folder:
        compile_definition(f"--python_out={folder}", f"--pyi_out={folder}", f"--grpc_python_out={folder}")
        return {name: _at_home((Path(folder) / _PROTO).with_name(name).read_text(encoding="utf-8")) for name in NAMES}


def write_image(path: Path) -> None:
    """Write the definition with all that it imports as one descriptor set, which linters read."""
    compile_definition(f"--descriptor_set_out={path}", "--include_imports", "--include_source_info")


def compile_definition(*wanted: str) -> None:
    """Run the compiler of protocol buffers on the definition, in a process of its own: its C++ does not go with others'."""
    shipped = files("grpc_tools") / "_proto"
    rpc = Path(str(files("google.rpc") / "status.proto")).parents[2]
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-Iobligor/v1={HOME}",
        f"-I{shipped}",
        f"-I{rpc}",
        *wanted,
        _PROTO,
    ]
    done = subprocess.run(command, check=False)  # noqa: S603  the interpreter at work, and our own words
    if done.returncode:
        raise SystemExit(f"{_PROTO}: the compiler ended with {done.returncode}")


def _at_home(text: str) -> str:
    moved = text.replace("from obligor.v1 import", "from obligor.serving.grpc import")
    return moved.replace("'obligor.v1.decisions_pb2'", "'obligor.serving.grpc.decisions_pb2'")


if __name__ == "__main__":
    for name, text in generate().items():
        (HOME / name).write_text(text, encoding="utf-8")
