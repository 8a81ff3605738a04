"""A few connections for those who read: borrowed for one question, and given back.

``psycopg_pool`` is one dependency more, and connects in tasks of its own: who borrows while the server is down waits out their
patience there, and is not told why. Here the borrower connects, and hears at once what is wrong.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import TupleRow, dict_row

from obligor.adapters.store.address import check_server, connection_info, told, unavailable
from obligor.core.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

_MOST: Final = 4
_PATIENCE_S: Final = 5.0

_TROUBLE: Final = (
    *(psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, psycopg.errors.InsufficientPrivilege),
    *(psycopg.errors.UndefinedTable, OSError, TimeoutError),
)
_ON_BEHALF: Final = """
    SELECT set_config('role', 'obligor_reader', true), set_config('obligor.client', %s, true),
        set_config('plan_cache_mode', 'force_custom_plan', true)
"""
"""A plan for whatever client would read the log for one that has few decisions in it."""
Connection = psycopg.AsyncConnection[TupleRow]


class Pool:
    """Lends up to so many connections, which may only read unless their borrower says otherwise."""

    def __init__(self, url: str, *, most: int = _MOST, patience_s: float = _PATIENCE_S) -> None:
        self._url = url
        self._patience_s = patience_s
        patience_ms = str(int(patience_s * 1000))
        self._info = connection_info(
            url,
            name="reader",
            session={
                "default_transaction_read_only": "on",
                "statement_timeout": patience_ms,
                "idle_in_transaction_session_timeout": patience_ms,
            },
        )
        self._free = asyncio.Semaphore(most)
        self._idle: list[Connection] = []

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            await self._idle.pop().close()

    async def rows(self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, Any]]:
        """Ask one question; each row by the names of its columns."""
        async with self.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(query.encode(), parameters)
            return await cursor.fetchall()

    async def rows_of(
        self, client_id: str | None, query: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[dict[str, Any]]:
        """Ask one question on a client's behalf: rows of others are not there, whatever the question forgets to say.

        PostgreSQL itself leaves them out: the question is asked as ``obligor_reader``, under policies of row-level security.
        Without a client it is asked as :meth:`rows` does.
        """
        if client_id is None:
            return await self.rows(query, parameters)
        async with self.connection() as connection, connection.pipeline(), connection.transaction():
            await connection.execute(_ON_BEHALF, (client_id,))
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(query.encode(), parameters)
            return await cursor.fetchall()

    async def write(self, query: str, parameters: Sequence[object]) -> None:
        """Do one statement that writes; durable on return."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION READ WRITE")
            await connection.execute(query.encode(), parameters)

    async def change(self, query: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        """Do one statement that writes, and give what it returns; durable on return."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION READ WRITE")
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(query.encode(), parameters)
                return await cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection.

        Raises
        ------
        UnavailableError
            Where the store does not answer in time, or all connections are lent for too long.
        InvalidInputError
            Where it is asked for what it cannot hold.
        """
        deadline = asyncio.get_running_loop().time() + self._patience_s  # of all that is waited for, and not of each
        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
        except TimeoutError:
            raise UnavailableError(f"{told(self._url)}: every connection for reading is in use") from None
        connection: Connection | None = None
        try:
            connection = await self._taken(deadline)
            with _hung_up_at(deadline, connection):
                yield connection
            if not connection.closed:
                self._idle.append(connection)
                connection = None
        except _TROUBLE as error:
            raise unavailable(self._url, error) from error
        except (psycopg.DataError, UnicodeEncodeError):
            raise InvalidInputError("the store cannot look for a value of this, such as text with a NUL") from None
        finally:
            self._free.release()
            if connection is not None:
                await connection.close()

    async def _taken(self, deadline: float) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and await _is_alive(connection, deadline):
                return connection
        async with asyncio.timeout_at(deadline):
            connection = await psycopg.AsyncConnection.connect(self._info, autocommit=True)
        check_server(connection.info.server_version, self._url)
        return connection


@contextmanager
def _hung_up_at(deadline: float, connection: Connection) -> Iterator[None]:
    """Hang up on a server that does not answer in time.

    To cancel what was asked, as ``asyncio.timeout`` would, has psycopg ask the very server that does not answer, and wait up
    to ten seconds more.
    """
    timer = asyncio.get_running_loop().call_at(deadline, _hang_up, connection)
    try:
        yield
    finally:
        timer.cancel()


def _hang_up(connection: Connection) -> None:
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


async def _is_alive(connection: Connection, deadline: float) -> bool:
    """Tell whether a connection that lay idle still answers; the server may have been started again since."""
    try:
        with _hung_up_at(deadline, connection):
            await connection.execute("")
    except psycopg.Error:
        await connection.close()
        return False
    return True
