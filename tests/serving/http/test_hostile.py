"""What a hostile client sends is refused early, costs little, echoes nothing, and does nothing (GOVERNANCE F15 to F17)."""

from __future__ import annotations

import gzip
import json
import logging
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from tests.serving.http.fakes import BODY, PLAIN, House, house, posting
from tests.serving.http.serving import run, say, served

from obligor.core.errors import ApplicationError
from obligor.core.strict_json import read_strict_json
from obligor.serving.http import decision_shapes, shapes
from obligor.serving.http.bodies import MOST_BULK_BYTES, MOST_BYTES
from obligor.serving.http.bulk import MOST_AT_ONCE, split_applications
from obligor.serving.http.heads import MOST_HEADER_BYTES, MOST_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

CANARY = "canary4711"


async def asked(of: House, body: bytes, *, path: str = "/v1/decisions", **headers: str) -> httpx.Response:
    async with of.client() as client:
        return await client.post(path, content=body, headers=posting(**headers))


def with_income(text: str) -> bytes:
    return BODY.replace(b"1500", text.encode())


@pytest.mark.parametrize(
    "body",
    [
        *map(with_income, ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-0.0", "0x10", "1_000", "+1", "01", ".5")),
        *map(with_income, (str(2**63), "9" * 5000, "1e15000", '"1e3"', '"\N{FULLWIDTH DIGIT ONE}"', "true", "[1]", "{}")),
        with_income("[" * 10_000 + "]" * 10_000),
        b'{"a":' * 10_000,
        b"{" + b",".join(b'"k%d":1' % at for at in range(80_000)) + b"}",
        BODY[:-1] + b',"income":2}',
        BODY[:-1] + b',"inc\\u006fme":2}',
        BODY[:-1] + b',"approved_by":"me"}',
        BODY[:-1] + b',"status":"approve","client_id":"lender-two","__proto__":{"a":1}}',
        b"", b" ", b"null", b"17", b'"text"', b"[]", b"{}", b"{", b"\xff\xfe", BODY + BODY, BODY + b"x", b"/**/" + BODY,
        b"\xef\xbb\xbf" + BODY,
        *(BODY.decode().encode(it) for it in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")),
        BODY.replace(b"CAR", b"\xed\xa0\x80"),
        gzip.compress(BODY),
        zlib.compress(BODY),
    ],
)  # fmt: skip
def test_a_body_that_is_no_application_is_refused_and_nothing_is_recorded(body: bytes) -> None:
    async def main() -> None:
        of = house()
        for path in ("/v1/decisions", "/v1/simulations"):
            answer = await asked(of, body, path=path)
            assert answer.status_code == 422, answer.text
            shapes.Problem.model_validate_json(answer.content)
        assert not of.store.leaves

    run(main())


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (with_income("NaN"), "/income", "NaN is not a number that JSON knows"),
        (BODY[:-1] + b',"income":2}', "/income", "the key 'income' stands twice"),
        (BODY.replace(b'"balance": 5', b'"balance": NaN'), "/bureau/0/balance", "NaN is not a number that JSON knows"),
        (BODY.replace(b'"balance": 5', b'"balance":5,"balance":5'), "/bureau/0/balance", "the key 'balance' stands twice"),
        (BODY[:-1] + b',"Oleg Korvand":[NaN]}', "", "NaN is not a number that JSON knows"),
        (BODY[:-1] + b',"Oleg Korvand":1,"Oleg Korvand":2}', "", "a key stands twice"),
    ],
)  # fmt: skip
def test_what_readers_of_json_take_in_different_ways_is_told_by_its_field(
    body: bytes, field: str, message: str
) -> None:
    async def main() -> None:
        of = house()
        assert (await asked(of, body)).json()["errors"] == [{"field": field, "message": message}]

    run(main())


def test_a_body_of_nothing_but_what_is_odd_is_refused_without_memory_for_each() -> None:
    body = b'{"bureau":[' + b"NaN," * 250_000 + b"1]}"
    tracemalloc.start()
    with pytest.raises(ApplicationError, match="NaN"):
        read_strict_json(body, what="application", error=ApplicationError)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize("hidden", ["\0", "\x1b[31m", "\r\nset-cookie: a=b", "\ud800", "\u202e", "\u2028"])
def test_a_text_with_what_no_screen_shows_is_refused(hidden: str) -> None:
    async def main() -> None:
        of = house()
        for changed in ({"purpose": CANARY + hidden}, {"customer": hidden + CANARY}, {CANARY + hidden: 1}):
            answer = await asked(of, json.dumps(PLAIN | changed).encode())
            assert answer.status_code == 422
            assert CANARY not in answer.text
            assert hidden not in answer.text
        assert not of.store.leaves

    run(main())


def test_two_ways_to_write_one_name_are_one_application() -> None:
    """The second is a replay of the first: the same normal form, the same hash, one decision."""

    async def main() -> None:
        of = house()
        composed = json.dumps(PLAIN | {"customer": "Ren\N{LATIN SMALL LETTER E WITH ACUTE}"}).encode()
        decomposed = json.dumps(PLAIN | {"customer": "Rene\N{COMBINING ACUTE ACCENT}"}, ensure_ascii=False).encode()
        first, again = await asked(of, composed), await asked(of, decomposed)
        assert again.headers["idempotent-replayed"] == "true"
        assert first.content == again.content
        assert len(of.store.kept) == 1

    run(main())


@pytest.mark.parametrize(
    "said",
    [
        "'; DROP TABLE obligor.decision; --", '" OR 1=1', "{{7*7}}", "${jndi:ldap://x/a}", "<script>alert(1)</script>",
        "*)(uid=*))(|(uid=*", '{"$gt":""}', "../../etc/passwd", "=cmd|'/c calc'!A1", "%00%0d%0a", "%s%n", "A" * 1000,
    ],
)  # fmt: skip
def test_what_other_systems_would_run_is_a_text_here(said: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        of = house()
        answer = await asked(of, json.dumps(PLAIN | {"purpose": said, "customer": said}).encode())
        assert answer.status_code == 201, answer.text
        assert answer.json()["application_id"] == said
        assert "49" not in answer.headers.values()
        assert json.loads(of.store.kept[0].record)["input"]["purpose"] == said
        async with of.client() as client:
            found = await client.get("/v1/decisions", params={"application_id": said[:255]})
            assert len(found.json()["decisions"]) == (len(said) <= 255)

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert not [it for it in caplog.records if it.name.startswith("obligor") and said in it.getMessage()]


@pytest.mark.parametrize("name", ["authorization", "idempotency-key", "content-type", "traceparent", "x-forwarded-for"])
@pytest.mark.parametrize(
    "value", ["'--", "{{7*7}}", "\x1b[31m", "a" * 5000, "\xff\xfe", "%0d%0aset-cookie:a=b", "*", ""]
)
def test_hostile_headers_are_refused_or_nothing(name: str, value: str) -> None:
    async def main() -> None:
        of = house()
        async with of.client() as client:
            headers = [(key, it) for key, it in posting().items() if key != name]
            raw = [(key.encode(), it.encode()) for key, it in headers] + [(name.encode(), value.encode("latin-1"))]
            if name != "authorization":
                raw.append((b"authorization", b"Bearer one"))
            client.headers.pop("authorization")
            answer = await client.post("/v1/decisions", content=BODY, headers=raw)
        wanted = {"authorization": (401,), "content-type": (415,), "idempotency-key": (201, 400)}
        assert answer.status_code in wanted.get(name, (201,))
        assert "set-cookie" not in answer.headers
        assert answer.status_code == 201 or not value or value not in answer.text

    run(main())


@pytest.mark.parametrize("name", ["authorization", "idempotency-key", "content-type", "content-length"])
def test_a_header_that_stands_twice_is_refused(name: str) -> None:
    async def main() -> None:
        async with house().client() as client:
            given = posting() | {"authorization": "Bearer one", "content-length": str(len(BODY))}
            raw = [(key.encode(), value.encode()) for key, value in given.items()]
            raw += [(key, value) for key, value in raw if key == name.encode()]
            answer = await client.post("/v1/decisions", content=BODY, headers=raw)
        assert answer.status_code == 400

    run(main())


def test_headers_have_a_number_and_a_size() -> None:
    async def main() -> None:
        async with house().client() as client:
            many = {f"x-{at}": "1" for at in range(MOST_HEADERS)}
            for headers in (many, {"x-long": "a" * MOST_HEADER_BYTES}):
                answer = await client.post("/v1/decisions", content=BODY, headers=posting() | headers)
                assert (answer.status_code, answer.headers["connection"]) == (431, "close")

    run(main())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-encoding", "gzip"), ("content-encoding", "deflate"), ("content-encoding", "br, gzip"),
        ("content-type", "text/plain"), ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "application/json; charset=latin-1"), ("content-type", "application/json, text/html"),
        ("content-type", "application/problem+json"), ("content-type", "multipart/form-data; boundary=a"),
    ],
)  # fmt: skip
def test_a_body_that_is_packed_or_of_another_kind_is_not_even_read(name: str, value: str) -> None:
    async def main() -> None:
        of = house()
        bomb = gzip.compress(b"0" * (10 << 20))
        for path in ("/v1/decisions", "/v1/decisions/bulk", "/v1/simulations"):
            async with of.client() as client:
                answer = await client.post(path, content=bomb, headers=posting() | {name: value})
            assert answer.status_code == 415
            assert answer.headers["connection"] == "close"

    run(main())


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON ; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_json_however_it_is_spelt(kind: str) -> None:
    async def main() -> None:
        async with house().client() as client:
            headers = posting() | {"content-type": kind, "content-encoding": "identity"}
            assert (await client.post("/v1/decisions", content=BODY, headers=headers)).status_code == 201

    run(main())


@pytest.mark.parametrize(("path", "most"), [("/v1/decisions", MOST_BYTES), ("/v1/decisions/bulk", MOST_BULK_BYTES)])
def test_a_body_without_a_length_is_read_no_further_than_its_limit(path: str, most: int) -> None:
    """Of a gigabyte that is sent in pieces, the service takes the limit and one piece."""

    async def main() -> None:
        of, taken, piece = house(), [0], b" " * (1 << 16)

        async def receive() -> dict[str, Any]:
            taken[0] += len(piece)
            return {"type": "http.request", "body": piece, "more_body": taken[0] < 1 << 30}

        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in posting(authorization="Bearer one").items()]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": headers,
            "client": None,
        }
        await of.app(scope | {"root_path": "", "raw_path": path.encode()}, receive, send)
        assert sent[0]["status"] == 413
        assert (b"connection", b"close") in sent[0]["headers"]
        assert taken[0] <= most + 2 * len(piece)

    run(main())


def test_a_gigabyte_over_the_wire_is_cut_off() -> None:
    async def main() -> None:
        of, sent = house(), [0]

        def pieces() -> Iterator[bytes]:
            while sent[0] < 1 << 30:
                sent[0] += 1 << 16
                yield b" " * (1 << 16)

        async with served(of.app, seats=of.door.seats) as server:
            import httpx

            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:

                async def body() -> Any:
                    for piece in pieces():
                        yield piece

                headers = posting(authorization="Bearer one")
                try:
                    answer = await client.post("/v1/decisions", content=body(), headers=headers)
                    assert answer.status_code == 413
                except httpx.TransportError:
                    pass  # cut off while it was sending
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                declared = f"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-length: {1 << 30}\r\n{head}\r\n"
                assert (await say(server.port, declared.encode())).startswith(b"HTTP/1.1 413 ")
                well = await client.post("/v1/decisions", content=BODY, headers=headers)
                assert well.status_code == 201
        assert sent[0] < 64 << 20

    run(main())


@pytest.mark.parametrize("size", [MOST_BYTES, MOST_BYTES + 1])
def test_the_limit_itself_still_fits(size: int) -> None:
    async def main() -> None:
        answer = await asked(house(), BODY + b" " * (size - len(BODY)))
        assert answer.status_code == (201 if size <= MOST_BYTES else 413)

    run(main())


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*PLAIN]) | st.text(max_size=5), ANY, max_size=6))
@given_settings(max_examples=150)
def test_whatever_json_comes_is_decided_on_or_refused(changed: dict[str, Any]) -> None:
    async def main() -> None:
        answer = await asked(house(), json.dumps(PLAIN | changed).encode())
        assert answer.status_code in (201, 422)
        (decision_shapes.Decision if answer.status_code == 201 else shapes.Problem).model_validate_json(answer.content)

    run(main())


def test_a_body_of_millions_of_applications_is_refused_at_the_thousand_and_first() -> None:
    body = b'{"applications":[' + b"1," * 2_000_000 + b"1]}"
    tracemalloc.start()
    try:
        with pytest.raises(ApplicationError, match="got more than 1000, wanted at most 1000"):
            split_applications(body)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [0, 1, MOST_AT_ONCE])
def test_as_many_applications_come_out_as_went_in(count: int) -> None:
    items = [b'{"at": %d}' % at for at in range(count)]
    assert split_applications(b'{"applications": [' + b" , ".join(items) + b"]}") == items


@given(st.binary(max_size=200))
@given_settings(max_examples=100)
def test_whatever_bytes_come_are_refused(body: bytes) -> None:
    async def main() -> None:
        of = house()
        assert (await asked(of, body)).status_code == 422
        assert (await asked(of, body, path="/v1/decisions/bulk")).status_code == 422

    run(main())


@given(st.sampled_from([*PLAIN]), st.sampled_from([CANARY, [CANARY], {"a": CANARY}, {CANARY: 1}, f"{CANARY}\0"]))
def test_a_refusal_never_repeats_a_value(field: str, value: Any) -> None:
    async def main() -> None:
        answer = await asked(house(), json.dumps(PLAIN | {field: value}).encode())
        if answer.status_code != 201:
            assert CANARY not in answer.text

    run(main())
