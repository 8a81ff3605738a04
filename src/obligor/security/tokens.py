"""Access tokens of an identity provider (OpenID Connect): JSON Web Tokens, read by the narrowest rules that serve.

A token says who its key is by ``kid`` alone, which is looked up in the provider's key set and is never a path or an address;
every other way to bring or to name a key (``jku``, ``jwk``, ``x5u``, ``x5c``) is refused, as is whatever asks for understanding
(``crit``, ``b64``). The algorithm must be one of three and the one of that key, so that no secret is made of a public key. JSON
that says a name twice is refused before a signature is looked at. (RFC 8725, RFC 9068; OWASP ASVS 5, V9.)
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from obligor.core.errors import InvalidInputError
from obligor.core.strict_json import read_strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

LEEWAY_S: Final = 60
MOST_BYTES: Final = 8192
MOST_KEYS: Final = 100
_LEAST_RSA_BITS: Final = 2048
_PARTS: Final = 3
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_KID: Final = re.compile(r"[\x21-\x7e]{1,200}")
_READ: Final = frozenset({"alg", "kid", "typ"})
_IGNORED: Final = frozenset({"x5t", "x5t#S256"})  # thumbprints, which some providers repeat the kid in
SUBJECT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+|:/=~-]{0,189}")
"""What a person may be called: a text that can stand in a leaf, a label and a command."""

Key = RSAKey | ECKey | OKPKey


class TokenError(Exception):
    """A token that opens nothing; why, in a word that is counted and never answered."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


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


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a provider, by ``kid``."""

    keys: Mapping[str, tuple[str, Key]] = field(repr=False)
    """The algorithm of each, and the key."""


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
    segments = text.split(".") if len(text) <= MOST_BYTES else []
    if len(segments) != _PARTS or not all(map(_SEGMENT.fullmatch, segments)):
        raise TokenError("malformed")
    header = _object(segments[0])
    _check_header(header, issuer)
    known = keys.keys.get(header["kid"])
    if known is None:
        raise UnknownKeyError("unknown")
    algorithm, key = known
    if header["alg"] != algorithm:
        raise TokenError("malformed")
    # The algorithm itself, and not the library's reader of whole tokens, which takes more than is taken here.
    said = text.rpartition(".")[0].encode()
    if not JWSRegistry.algorithms[algorithm].verify(said, _bytes(segments[2]), key):
        raise TokenError("wrong")
    return _claims(_object(segments[1]), issuer, int(at.timestamp()))


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
    expires, issued = _instant(said, "exp"), _instant(said, "iat")
    if not expires - issuer.most_lifetime_s <= issued < expires or issued > at + LEEWAY_S:
        raise TokenError("malformed")
    if "nbf" in said and _instant(said, "nbf") > at + LEEWAY_S:
        raise TokenError("malformed")
    if at >= expires + LEEWAY_S:
        raise TokenError("expired")
    subject, client_id = said.get("sub"), said.get("client_id", said.get("azp", ""))
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        raise TokenError("malformed")
    if not isinstance(client_id, str):
        raise TokenError("malformed")
    strong = said.get("acr") in issuer.strong if isinstance(said.get("acr"), str) else False
    return Claims(subject, client_id, _roles(said, issuer.roles_claim), strong, expires + LEEWAY_S)


def _roles(said: Mapping[str, Any], claim: str) -> frozenset[str]:
    """Give the roles; none where the claim is not a list of texts."""
    found: object = said.get(claim)
    if found is None:
        found = said
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    return frozenset(it for it in found if isinstance(it, str)) if isinstance(found, list) else frozenset()


def _instant(said: Mapping[str, Any], name: str) -> int:
    found = said.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < 1e11:  # noqa: PLR2004  year 5138
        raise TokenError("malformed")
    return int(found)


def _object(segment: str) -> Mapping[str, Any]:
    """Read a part of a token: a JSON object that says nothing twice."""
    try:
        said = read_strict_json(_bytes(segment), what="token", error=InvalidInputError)
    except InvalidInputError:
        raise TokenError("malformed") from None
    if not isinstance(said, dict):
        raise TokenError("malformed")
    return said


def _bytes(segment: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except (binascii.Error, ValueError):
        raise TokenError("malformed") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != segment:  # another text of the same bytes
        raise TokenError("malformed")
    return data


def _usable(said: Mapping[str, Any]) -> tuple[str, Key] | None:
    """Give the algorithm and the key where it is a public one to check signatures with."""
    if not isinstance(said.get("kid"), str) or said.get("use", "sig") != "sig":
        return None
    public = {name: it for name, it in said.items() if name in ("kty", "n", "e", "crv", "x", "y")}
    found: tuple[str, Key]
    try:
        match said.get("kty"), said.get("crv"):
            case "RSA", _:
                if int.from_bytes(_bytes(public["n"])).bit_length() < _LEAST_RSA_BITS:
                    return None
                found = "RS256", RSAKey.import_key(public)
            case "EC", "P-256":
                found = "ES256", ECKey.import_key(public)
            case "OKP", "Ed25519":
                found = "EdDSA", OKPKey.import_key(public)
            case _:
                return None
    except (JoseError, TokenError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if said.get("alg", found[0]) == found[0] else None
