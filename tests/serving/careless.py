"""A decision service that is as careless as its first word says, for the crash tests to find out.

``honest``: answers after the commit. ``hasty``: answers before the commit, which comes a little later. ``forgetful``: keeps
what it decided, and forgets which idempotency key it was for when it starts again.
"""

import asyncio
import json
import os
import sys
import uuid

import psycopg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TABLES = """
    CREATE SCHEMA IF NOT EXISTS obligor;
    CREATE TABLE IF NOT EXISTS obligor.leaf (index bigint PRIMARY KEY, kind text);
    CREATE TABLE IF NOT EXISTS obligor.record (leaf_index bigint PRIMARY KEY, body bytea);
    CREATE TABLE IF NOT EXISTS obligor.decision (decision_id uuid PRIMARY KEY, leaf_index bigint UNIQUE);
    CREATE TABLE IF NOT EXISTS obligor.request (key text PRIMARY KEY, response bytea, leaf_index bigint);
    CREATE TABLE IF NOT EXISTS obligor.tree_head (one boolean PRIMARY KEY, size bigint);
    INSERT INTO obligor.tree_head VALUES (true, 0) ON CONFLICT DO NOTHING;
"""


class Careless:
    def __init__(self, manner: str) -> None:
        self.manner, self.lock, self.pending = manner, asyncio.Lock(), {}
        with psycopg.connect(os.environ["OBLIGOR_DATABASE_URL"]) as connection:
            connection.execute(_TABLES)
            if manner == "forgetful":
                connection.execute("UPDATE obligor.request SET key = 'forgotten-' || gen_random_uuid()")

    async def decide(self, request: Request) -> Response:
        key = request.headers["Idempotency-Key"]
        async with self.lock:
            try:
                return await self.decided(key)
            except psycopg.Error:
                return Response(status_code=503)

    async def decided(self, key: str) -> Response:
        connection = await psycopg.AsyncConnection.connect(os.environ["OBLIGOR_DATABASE_URL"], connect_timeout=5)
        found = await connection.execute("SELECT response FROM obligor.request WHERE key = %s", (key,))
        row = await found.fetchone()
        if row or key in self.pending:
            await connection.close()
            return Response(row[0] if row else self.pending[key], 201, {"Idempotent-Replayed": "true"})
        decision_id = str(uuid.uuid4())
        answer = json.dumps({"decision_id": decision_id}).encode()
        record = json.dumps({"decision_id": decision_id, "idempotency_key": key}).encode()
        if self.manner == "hasty":
            self.pending[key] = answer
            self.task = asyncio.create_task(self.commit(connection, key, decision_id, record, answer))
        else:
            await self.commit(connection, key, decision_id, record, answer)
        return Response(answer, 201)

    async def commit(
        self, connection: psycopg.AsyncConnection, key: str, decision_id: str, record: bytes, answer: bytes
    ) -> None:
        if self.manner == "hasty":
            await asyncio.sleep(0.2)
        async with connection:
            head = await connection.execute("UPDATE obligor.tree_head SET size = size + 1 RETURNING size - 1")
            (index,) = await head.fetchone() or (0,)
            await connection.execute("INSERT INTO obligor.leaf VALUES (%s, 'decision')", (index,))
            await connection.execute("INSERT INTO obligor.record VALUES (%s, %s)", (index, record))
            await connection.execute("INSERT INTO obligor.decision VALUES (%s, %s)", (decision_id, index))
            await connection.execute("INSERT INTO obligor.request VALUES (%s, %s, %s)", (key, answer, index))


async def ready(request: Request) -> Response:
    return Response()


def main(words: list[str]) -> None:
    sys.stdout.write("obl_careless_secret\n")
    sys.stdout.flush()
    port = int(words[words.index("--port") + 1])
    service = Careless(words[0])
    routes = [Route("/v1/decisions", service.decide, methods=["POST"]), Route("/health/ready", ready)]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1:])
