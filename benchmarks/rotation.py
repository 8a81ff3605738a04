"""How quickly the keys of subjects are wrapped anew, on an embedded PostgreSQL."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from obligor.adapters.kms.file import open_file_kms
from obligor.adapters.store.embedded import embedded_server
from obligor.adapters.store.migrating import migrate
from obligor.adapters.store.privacy import KEYRING, wrap_anew
from obligor.security.sealing import DATA, NAMES, KeptKey, Keyring, make_kept, open_keyring

_ROWS, _QUICK_ROWS = 1_000_000, 20_000


def run(*, quick: bool) -> dict[str, Any]:
    """Make keys for so many subjects, and rotate."""
    rows = _QUICK_ROWS if quick else _ROWS
    with tempfile.TemporaryDirectory(prefix="obligor-rotation-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        kms = open_file_kms(Path(folder) / "master.key", production=False)
        with embedded_server(Path(folder) / "postgres") as url:
            migrate(url)
            with psycopg.connect(url, autocommit=True) as connection:
                for kept in (make_kept(DATA, 1, kms), make_kept(NAMES, 1, kms)):
                    _keep(connection, kept)
                _fill(connection, _ring(connection, kms), rows)
                _keep(connection, make_kept(DATA, 2, kms))
                ring = _ring(connection, kms)
                begun = perf_counter()
                done = wrap_anew(url, ring)
                seconds = perf_counter() - begun
                left = connection.execute("SELECT count(*) FROM obligor.subject_key WHERE version < 2").fetchone()
    result = {
        "rows": rows,
        "wrapped": done,
        "left": left[0] if left else None,
        "rows_per_second": round(done / seconds),
    }
    print(f"{done:,} keys wrapped anew in {seconds:.1f} s: {result['rows_per_second']:,} in a second")
    return result


def _keep(connection: psycopg.Connection[Any], kept: KeptKey) -> None:
    connection.execute(
        "INSERT INTO obligor.keyring (purpose, version, wrapped, proof, created_at) VALUES (%s, %s, %s, %s, now())",
        (kept.purpose, kept.version, kept.wrapped, kept.proof),
    )


def _ring(connection: psycopg.Connection[Any], kms: Any) -> Keyring:
    kept = [KeptKey(*row) for row in connection.execute(KEYRING.encode())]
    return open_keyring(kept, kms, random=os.urandom)


def _fill(connection: psycopg.Connection[Any], ring: Keyring, rows: int) -> None:
    """Put so many keys into the store."""
    copy = "COPY obligor.subject_key (key_id, subject, version, wrapped, created_at) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(copy) as writing:
        for at in range(rows):
            key, wrapped = ring.new_data_key(ring.subject("person", str(at)))
            writing.write_row((key.key_id, key.subject, wrapped.version, wrapped.wrapped, "2026-11-26T00:00:00Z"))
