"""The master key in AWS Key Management Service: it never leaves there, and every use of it is in CloudTrail.

Credentials come only from the standard AWS environment. What a key is for is its encryption context, which KMS checks and keeps
in its log.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types
from botocore.session import get_session  # type: ignore[import-untyped]  # ships no types

from obligor.core.errors import InvalidInputError, SealError, UnavailableError
from obligor.security.sealing import KEY_BYTES, Generated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PATIENCE: Final = {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 3, "mode": "standard"}}
_PRINTABLE: Final = re.compile(r"[!-~]+")
_SENT: Final = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"),
)
_HINT: Final = "they come from the environment of AWS, such as AWS_DEFAULT_REGION, AWS_PROFILE and AWS_ENDPOINT_URL"
_OTHERS: Final = ("InvalidCiphertextException", "IncorrectKeyException")


class AwsKms:
    """Wraps keys by a symmetric key of AWS KMS, named by its id, alias or ARN.

    Parameters
    ----------
    environ
        Where botocore looks for what it sends: the environment of the process.
    production : bool
        Refuse an endpoint by plain HTTP: keys come in its answers.
    """

    def __init__(self, key_id: str, *, environ: Mapping[str, str], production: bool) -> None:
        if not _PRINTABLE.fullmatch(key_id):
            raise InvalidInputError("OBLIGOR_DATA_KEY: wanted aws-kms: and the id, alias or ARN of a key")
        for name in _SENT:
            if (said := environ.get(name)) and not _PRINTABLE.fullmatch(said):
                raise InvalidInputError(f"{name}: wanted letters, digits and signs of ASCII, without spaces")
        self._key_id, self._production = key_id, production
        self._made: Any = None  # botocore ships no types

    @property
    def name(self) -> str:
        """The key, as it was named."""
        return f"aws-kms:{self._key_id}"

    def generate(self, *, context: str) -> Generated:
        """Make a key of 32 bytes."""
        key, wrapped = self._ask(
            lambda kms: kms.generate_data_key(
                KeyId=self._key_id, NumberOfBytes=KEY_BYTES, EncryptionContext=_said(context)
            ),
            *("Plaintext", "CiphertextBlob"),
        )
        return Generated(key, wrapped)

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """Unwrap a key."""
        (key,) = self._ask(
            lambda kms: kms.decrypt(KeyId=self._key_id, CiphertextBlob=wrapped, EncryptionContext=_said(context)),
            "Plaintext",
        )
        return key

    def _ask(self, question: Callable[[Any], dict[str, Any]], *wanted: str) -> list[bytes]:
        try:
            told = question(self._client())
            return [told[it] for it in wanted]
        except InvalidInputError:
            raise
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            if code in _OTHERS:
                raise SealError(f"{self.name}: does not unwrap this key ({code})") from None
            raise UnavailableError(f"{self.name}: did not do its part ({code})") from None
        except Exception as error:  # noqa: BLE001  what botocore's headers, files and parser meet comes through bare
            raise UnavailableError(f"{self.name}: did not do its part ({type(error).__name__})", hint=_HINT) from None

    def _client(self) -> Any:  # botocore ships no types
        if self._made is None:
            try:
                made = get_session().create_client("kms", config=Config(**_PATIENCE))
            except ValueError:  # which repeats what it got
                raise InvalidInputError(
                    f"{self.name}: a region, an endpoint or a place of credentials that AWS cannot have", hint=_HINT
                ) from None
            if self._production and not made.meta.endpoint_url.startswith("https://"):
                raise InvalidInputError("AWS_ENDPOINT_URL: got an endpoint by http; wanted https in production")
            self._made = made
        return self._made


def _said(context: str) -> dict[str, str]:
    return {"obligor": context}
