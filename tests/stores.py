"""Stores for tests: servers, new databases, things to record, and a look at all that a store holds."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row, tuple_row
from pymerkle import InmemoryTree

from obligor.adapters.store.migrating import migrate
from obligor.core.leaves import commitment, parse_leaf
from obligor.core.merkle import Frontier, leaf_hash
from obligor.serving.acts import Act, Request, Submission
from obligor.serving.rows import DecisionRow

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
_TEMPLATE = "empty_store"
_USERS = {"service_of_tests": "obligor_service", "auditor_of_tests": "obligor_auditor"}
"""Users who own nothing, and the role of each."""


@contextmanager
def new_store(server: str) -> Iterator[str]:
    """Make a store without an act, as a copy of one that was migrated once on this server."""
    name = f"store_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,)).fetchone():
            connection.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            migrate(of_database(server, _TEMPLATE))
            for user, role in _USERS.items():
                connection.execute(f"CREATE ROLE {user} LOGIN IN ROLE {role}")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        yield of_database(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def of_database(server: str, name: str) -> str:
    """Give the address of another database of a server."""
    before, _, after = server.partition("?")
    return f"{before.rpartition('/')[0]}/{name}?{after}"


def as_service(url: str) -> str:
    """Give the address of a store for a user who owns nothing, as a service should be."""
    return re.sub("://[a-z_]+@", "://service_of_tests@", url)


def as_auditor(url: str) -> str:
    """Give the address of a store for a user who may read it."""
    return re.sub("://[a-z_]+@", "://auditor_of_tests@", url)


def as_owner(url: str) -> str:
    """Give the address of a store of the embedded server for its owner, who may tamper with it."""
    return re.sub("://[a-z_]+@", "://obligor@", url)


def debian_binaries() -> Path | None:
    """Find the newest PostgreSQL of the machine's own."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def debian_postgres(binaries: Path) -> Iterator[str]:
    """Run the machine's own PostgreSQL in a passing folder, as the user postgres where we are root."""
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    owner: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="obligor-debian-", ignore_cleanup_errors=True) as folder:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = f"{folder}/data"

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [str(binaries / program), *arguments],
                check=True,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60,
                **owner,
            )

        run("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
        run(
            "pg_ctl",
            "-D",
            data,
            "-l",
            f"{folder}/log",
            "-o",
            f"-k {folder} -c listen_addresses='' -c fsync=off",
            "-w",
            "start",
        )
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def submission(
    key: str | None = None,
    *,
    client: str = "bank",
    payload: bytes = b"{}",
    decision_id: UUID | None = None,
    at: datetime = NOW,
    application: str | None = None,
    kind: str = "decision",
) -> Submission:
    """Give one decision to record, under an idempotency key or under none."""
    decision_id = decision_id or uuid4()
    record = json.dumps({"decision_id": str(decision_id)}).encode()
    row = DecisionRow(decision_id, client, application, at, "approve", "A", 512_345)
    act = Act(kind, at, f"client:{client}", str(decision_id), record, os.urandom(16), (row,))

    def respond(leaf: int) -> bytes:
        return json.dumps({"decision_id": str(decision_id), "leaf_index": leaf}).encode()

    request = None if key is None else Request(client, "/v1/decisions", key, hashlib.sha256(payload).digest())
    return Submission((act,), respond, request, 201)


@dataclass(frozen=True)
class Held:
    """All that a store holds of the log and of decisions, once it was found whole."""

    leaves: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    root: bytes


def held(url: str) -> Held:
    """Read a store, and check that its log is one unbroken tree whose every part agrees with every other."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        # Of one instant: a COMMIT may be on its way.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        ask = lambda query: connection.execute(query).fetchall()  # noqa: E731
        leaves = ask(
            "SELECT index, kind, leaf.body, hash, record.body AS record, salt FROM obligor.leaf"
            " FULL JOIN obligor.record ON index = leaf_index ORDER BY index"
        )
        decisions = ask("SELECT * FROM obligor.decision ORDER BY leaf_index")
        requests = ask("SELECT * FROM obligor.request ORDER BY leaf_index")
        nodes = ask("SELECT level, index, hash FROM obligor.node ORDER BY level, index")
        (head,) = ask("SELECT size, at FROM obligor.tree_head")
    assert [leaf["index"] for leaf in leaves] == list(range(head["size"]))
    parsed = [parse_leaf(leaf["body"]) for leaf in leaves]
    for leaf, said in zip(leaves, parsed, strict=True):
        assert leaf["hash"] == leaf_hash(leaf["body"])
        assert said.commitment == commitment(leaf["record"], leaf["salt"])
        assert said.kind == leaf["kind"]
    assert [leaf.at for leaf in parsed] == sorted(leaf.at for leaf in parsed)
    assert head["at"] == (parsed[-1].at if parsed else None)
    growth = Frontier().extend(leaf["hash"] for leaf in leaves)
    grown = sorted((node.level, node.index, node.hash) for node in growth.nodes)
    assert grown == [(node["level"], node["index"], node["hash"]) for node in nodes]
    if leaves:
        assert growth.root == independent_root([leaf["body"] for leaf in leaves])
    at = {leaf["index"]: leaf for leaf in leaves}
    for row in decisions:
        assert str(row["decision_id"]) in at[row["leaf_index"]]["record"].decode()
    for row in requests:
        assert row["leaf_index"] in at
    return Held(leaves, decisions, requests, growth.root)


def independent_root(bodies: list[bytes]) -> bytes:
    """Give the root of RFC 6962 by another library."""
    tree = InmemoryTree(algorithm="sha256")
    for body in bodies:
        tree.append_entry(body)
    return bytes(tree.get_root())


def is_there(program: str) -> bool:
    """Tell whether the machine has a program."""
    return shutil.which(program) is not None


def pages_read(connection: psycopg.Connection[Any], query: str, given: Any) -> int:
    """Run a query, and give how many pages of tables and indexes it looked at."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        ((plan,),) = cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode(), given).fetchall()
    whole = plan[0]["Plan"]
    return int(whole["Shared Hit Blocks"] + whole["Shared Read Blocks"])
