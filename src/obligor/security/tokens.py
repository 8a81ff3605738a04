"""Access tokens of an identity provider (OpenID Connect): JSON Web Tokens, read by the narrowest rules that serve.

A token says who its key is by ``kid`` alone, which is looked up in the provider's key set and is never a path or an address;
every other way to bring or to name a key (``jku``, ``jwk``, ``x5u``, ``x5c``) is refused, as is whatever asks for understanding
(``crit``, ``b64``). The algorithm must be one of three and the one of that key. (RFC 8725, RFC 9068; OWASP ASVS 5, V9.)

A token may be bound to a key of whoever it was given to: to a client certificate (RFC 8705) or to a key that signs a proof for
each request (DPoP, RFC 9449). It opens nothing for who does not hold that key, and a binding that is not understood opens
nothing at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from obligor.core.errors import InvalidInputError
from obligor.core.strict_json import read_strict_json
from obligor.security.jose import (
    LEEWAY_S,
    Key,
    TokenError,
    check_signature,
    parts_of,
    public_key,
    read_bytes,
    read_instant,
    read_object,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MOST_BYTES: Final = 8192
MOST_KEYS: Final = 100
_KID: Final = re.compile(r"[\x21-\x7e]{1,200}")
_READ: Final = frozenset({"alg", "kid", "typ"})
_IGNORED: Final = frozenset({"x5t", "x5t#S256"})  # thumbprints, which some providers repeat the kid in
SUBJECT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+|:/=~-]{0,189}")
"""What a person may be called: a text that can stand in a leaf, a label and a command."""
_BINDINGS: Final[Mapping[str, Literal["certificate", "key"]]] = {"x5t#S256": "certificate", "jkt": "key"}
_SHA256_BYTES: Final = 32


class UnknownKeyError(TokenError):
    """A token whose key is not in the set that is known; the provider may have a newer one."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken, and how they are read."""

    name: str
    """The provider, as ``iss`` says it."""
    audience: str
    """This service, as ``aud`` says it."""
    types: frozenset[str] = frozenset({"at+jwt"})
    """What ``typ`` may say."""
    roles_claim: str = "roles"
    """Where the roles are; a dot goes into an object."""
    strong: frozenset[str] = frozenset()
    """Which ``acr`` tell of a second factor."""
    most_lifetime_s: int = 600
    """For how long a token may be made out, at most."""
    bound: bool = False
    """Whether a token must be bound to a key of who it was given to."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a provider, by ``kid``."""

    keys: Mapping[str, tuple[str, Key]] = field(repr=False)
    """The algorithm of each, and the key."""


class Bound(NamedTuple):
    """The key that a token is bound to."""

    to: Literal["certificate", "key"]
    """A client certificate, or a key that signs proofs."""
    sha256: bytes
    """Of the certificate as DER (RFC 8705, 3.1), or of the key's thumbprint (RFC 7638)."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says that counts."""

    subject: str
    client_id: str
    """The system that the token was given to; empty where it does not say."""
    roles: frozenset[str]
    strong: bool
    expires_at: int
    """In seconds since 1970, the leeway included."""
    bound: Bound | None = None


def read_key_set(data: bytes) -> KeySet:
    """Read a JSON Web Key Set; keys for other uses, of other kinds or too small are left out, as are two of one name.

    Raises
    ------
    InvalidInputError
        Where it is no key set, or one of more than a hundred keys.
    """
    said = read_strict_json(data, what="key set", error=InvalidInputError)
    listed = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise InvalidInputError(f"key set: wanted a JSON object with at most {MOST_KEYS} keys")
    named = [str(it.get("kid")) for it in listed if isinstance(it, dict)]
    found = {}
    for it in listed:
        usable = _usable(it) if isinstance(it, dict) and named.count(str(it.get("kid"))) == 1 else None
        if usable is not None:
            found[it["kid"]] = usable
    return KeySet(found)


def read_token(text: str, *, keys: KeySet, issuer: Issuer, at: datetime) -> Claims:
    """Read a token of an issuer.

    Raises
    ------
    UnknownKeyError
        Where its key is not in the set.
    TokenError
        Where it opens nothing for any other reason.
    """
    head, body, _ = parts_of(text, most=MOST_BYTES)
    header = read_object(head)
    _check_header(header, issuer)
    known = keys.keys.get(header["kid"])
    if known is None:
        raise UnknownKeyError("unknown")
    algorithm, key = known
    if header["alg"] != algorithm:
        raise TokenError("malformed")
    check_signature(text, algorithm, key)
    return _claims(read_object(body), issuer, int(at.timestamp()))


def _check_header(header: Mapping[str, Any], issuer: Issuer) -> None:
    if not header.keys() >= _READ or not header.keys() <= _READ | _IGNORED:
        raise TokenError("malformed")
    if not all(isinstance(header[name], str) for name in _READ) or not _KID.fullmatch(header["kid"]):
        raise TokenError("malformed")
    if header["alg"] not in ("RS256", "ES256", "EdDSA"):
        raise TokenError("malformed")
    if header["typ"].lower().removeprefix("application/") not in {it.lower() for it in issuer.types}:
        raise TokenError("malformed")


def _claims(said: Mapping[str, Any], issuer: Issuer, at: int) -> Claims:
    audience = said.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if said.get("iss") != issuer.name or not isinstance(audiences, list) or issuer.audience not in audiences:
        raise TokenError("malformed")
    # Keycloak tells its kinds apart within; an ID token has a nonce, or the hash of an access token.
    if said.get("typ", "Bearer") != "Bearer" or said.keys() & {"nonce", "at_hash", "c_hash"}:
        raise TokenError("malformed")
    expires, issued = read_instant(said, "exp"), read_instant(said, "iat")
    if not expires - issuer.most_lifetime_s <= issued < expires or issued > at + LEEWAY_S:
        raise TokenError("malformed")
    if "nbf" in said and read_instant(said, "nbf") > at + LEEWAY_S:
        raise TokenError("malformed")
    if at >= expires + LEEWAY_S:
        raise TokenError("expired")
    subject, client_id = said.get("sub"), said.get("client_id", said.get("azp", ""))
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        raise TokenError("malformed")
    if not isinstance(client_id, str):
        raise TokenError("malformed")
    bound = _bound(said)
    if bound is None and issuer.bound:
        raise TokenError("unbound")
    strong = said.get("acr") in issuer.strong if isinstance(said.get("acr"), str) else False
    return Claims(subject, client_id, _roles(said, issuer.roles_claim), strong, expires + LEEWAY_S, bound)


def _roles(said: Mapping[str, Any], claim: str) -> frozenset[str]:
    """Give the roles; none where the claim is not a list of texts."""
    found: object = said.get(claim)
    if found is None:
        found = said
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    return frozenset(it for it in found if isinstance(it, str)) if isinstance(found, list) else frozenset()


def _bound(said: Mapping[str, Any]) -> Bound | None:
    """Give the key that a token is bound to (RFC 7800, ``cnf``); one that is named in another way still counts."""
    if "cnf" not in said:
        return None
    named = said["cnf"]
    if not isinstance(named, dict) or len(named) != 1:
        raise TokenError("malformed")
    ((name, thumbprint),) = named.items()
    if name not in _BINDINGS or not isinstance(thumbprint, str):
        raise TokenError("malformed")
    sha256 = read_bytes(thumbprint)
    if len(sha256) != _SHA256_BYTES:
        raise TokenError("malformed")
    return Bound(_BINDINGS[name], sha256)


def _usable(said: Mapping[str, Any]) -> tuple[str, Key] | None:
    """Give the algorithm and the key where it has a name and is one to check signatures with."""
    if not isinstance(said.get("kid"), str) or said.get("use", "sig") != "sig":
        return None
    found = public_key(said)
    return found if found is not None and said.get("alg", found[0]) == found[0] else None
