"""Prepared statements in pipelines: one round trip for each step of a transaction.

psycopg's own pipeline costs half a millisecond of Python for the two round trips of a batch; the same calls of libpq, which
psycopg offers, cost a seventh of that. Only the writer speaks this way; whoever reads uses psycopg as it is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from psycopg.pq.abc import PGconn, PGresult

_BINARY: Final = 1
_DONE: Final = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class LostError(Exception):
    """The connection is gone, or cannot be trusted any more; what was sent may or may not have been done."""


class RefusedError(Exception):
    """The server refused a statement, and with it all that followed in the same round."""

    def __init__(self, sqlstate: str, constraint: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate
        self.constraint = constraint


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that is prepared once; ``types`` are those of its parameters."""

    name: str
    sql: str
    types: tuple[int, ...] = ()


Call = tuple[bytes, "Sequence[bytes | None] | None"]
"""The name of a prepared statement, and its parameters in binary."""
Result = list[tuple[bytes | None, ...]]
Early = tuple[int, "Callable[[], object]"]


class Wire:
    """A connection in pipeline mode, which one task at a time uses."""

    def __init__(self, connection: PGconn) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._socket = connection.socket
        self._answer: asyncio.Future[list[PGresult]] | None = None
        self._results: list[PGresult] = []
        self._lost: LostError | None = None
        self._early: Early | None = None
        connection.nonblocking = 1
        connection.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def connect(cls, info: str, statements: Iterable[Statement]) -> Wire:
        """Connect, and prepare statements."""
        connection = await psycopg.AsyncConnection.connect(info, autocommit=True)
        wire = cls(connection.pgconn)
        wire._keep = connection
        try:
            await wire._prepare(statements)
        except BaseException:
            wire.close()
            raise
        return wire

    _keep: psycopg.AsyncConnection | None = None

    @property
    def server_version(self) -> int:
        """The version of PostgreSQL, as it tells it."""
        return self._connection.server_version

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._keep is not None and self._lost is None

    def close(self) -> None:
        """Break the connection off; a transaction that is open ends with it."""
        self._lose(LostError("closed"))
        self._connection.finish()
        self._keep = None

    async def round(self, calls: Sequence[Call], *, early: Early | None = None) -> list[Result]:
        """Send calls together, and give the rows of each; ``early``: of how many to be told as soon as they are done.

        Raises
        ------
        RefusedError
            Where the server refused one; the connection goes on.
        LostError
            Where the connection broke.
        """
        send = self._connection.send_query_prepared
        self._early = early
        try:
            for place, (name, parameters) in enumerate(calls, start=1):
                send(name, parameters, None if parameters is None else [_BINARY] * len(parameters), _BINARY)
                if early is not None and place == early[0]:
                    self._connection.send_flush_request()
        except psycopg.Error as error:
            raise self._lose(error) from error
        return [_rows(result) for result in _checked(await self._sync())]

    async def _prepare(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            self._connection.send_prepare(statement.name.encode(), statement.sql.encode(), statement.types or None)
        _checked(await self._sync())

    async def _sync(self) -> list[PGresult]:
        if self._lost is not None:  # while nobody waited; what is sent to nobody is not always refused
            raise self._lost
        try:
            self._connection.pipeline_sync()
            if self._connection.flush():
                self._loop.add_writer(self._socket, self._write)
        except psycopg.Error as error:
            raise self._lose(error) from error
        if (
            self._connection.status != pq.ConnStatus.OK
        ):  # libpq found it closed while it sent, says nothing, and reads no more
            raise self._lose(LostError("closed by the server"))
        self._answer = self._loop.create_future()  # nothing is read before this task waits
        return await self._answer

    def _write(self) -> None:
        try:
            if not self._connection.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._lose(error)
            return
        if self._connection.status != pq.ConnStatus.OK:
            self._lose(LostError("closed by the server"))

    def _read(self) -> None:
        """Take what came; a round is over when the mark of its end comes."""
        connection = self._connection
        try:
            connection.consume_input()
            gaps = 0
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:  # stands between the results of two statements
                    gaps += 1
                    if gaps > 1:
                        break
                    continue
                gaps = 0
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    self._finish()
                    break
                self._results.append(result)
                if self._early is not None and len(self._results) == self._early[0]:
                    self._early[1]()
        except psycopg.Error as error:
            self._lose(error)
            return
        if connection.status != pq.ConnStatus.OK:
            self._lose(LostError("closed by the server"))

    def _finish(self) -> None:
        results, self._results = self._results, []
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(results)

    def _lose(self, error: Exception) -> LostError:
        """Give up the connection at once: libpq may have closed its socket, whose number the next one that is opened gets."""
        if self._lost is None:
            self._lost = LostError(type(error).__name__)
            self._lost.__cause__ = error
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._lost)
        return self._lost


def _checked(results: list[PGresult]) -> list[PGresult]:
    for result in results:
        if result.status not in _DONE:
            state = result.error_field(pq.DiagnosticField.SQLSTATE)
            constraint = result.error_field(pq.DiagnosticField.CONSTRAINT_NAME)
            raise RefusedError((state or b"").decode(), (constraint or b"").decode())
    return results


def _rows(result: PGresult) -> Result:
    columns = range(result.nfields)
    return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]
