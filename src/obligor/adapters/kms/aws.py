"""The master key in AWS Key Management Service: it never leaves there, and every use of it is in CloudTrail.

Credentials come only from the standard AWS environment. What a key is for is its encryption context, which KMS checks and keeps
in its log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # ships no types
from botocore.session import get_session  # type: ignore[import-untyped]  # ships no types

from obligor.core.errors import SealError, UnavailableError
from obligor.security.sealing import KEY_BYTES, Generated

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE: Final = {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 3, "mode": "standard"}}
_HINT = "region and credentials come from the environment of AWS, such as AWS_REGION"
_OTHERS: Final = ("InvalidCiphertextException", "IncorrectKeyException")


class AwsKms:
    """Wraps keys by a symmetric key of AWS KMS, named by its id, alias or ARN."""

    def __init__(self, key_id: str, *, endpoint: str | None = None) -> None:
        self._key_id = key_id
        self._endpoint = endpoint
        self._made: Any = None  # botocore ships no types

    @property
    def name(self) -> str:
        """The key, as it was named."""
        return f"aws-kms:{self._key_id}"

    def generate(self, *, context: str) -> Generated:
        """Make a key of 32 bytes."""
        told = self._ask(
            lambda kms: kms.generate_data_key(
                KeyId=self._key_id, NumberOfBytes=KEY_BYTES, EncryptionContext=_said(context)
            )
        )
        return Generated(told["Plaintext"], told["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """Unwrap a key."""
        told = self._ask(
            lambda kms: kms.decrypt(KeyId=self._key_id, CiphertextBlob=wrapped, EncryptionContext=_said(context)),
        )
        key: bytes = told["Plaintext"]
        return key

    def _ask(self, question: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        try:
            if self._made is None:
                self._made = get_session().create_client("kms", endpoint_url=self._endpoint, config=Config(**_PATIENCE))
            return question(self._made)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            if code in _OTHERS:
                raise SealError(f"{self.name}: does not unwrap this key ({code})") from None
            raise UnavailableError(f"{self.name}: did not do its part ({code})") from None
        except BotoCoreError as error:
            raise UnavailableError(f"{self.name}: did not do its part ({type(error).__name__})", hint=_HINT) from None


def _said(context: str) -> dict[str, str]:
    return {"obligor": context}
