"""Field types of the wire, shared by every model."""

import re
from typing import Annotated, Any

import pybase64
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

BASE64_SCHEMA = {"type": "string", "contentEncoding": "base64"}
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
THUMBPRINT_PATTERN = r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"
_LAST_OF_THREE = tuple("AEIMQUYcgkosw048")
"""What may stand before one `=`: the last two of its six bits are 0 (RFC 4648 section 3.5)."""
_LAST_OF_TWO = tuple(f"{last}==" for last in "AQgw")
_DIGITS = re.compile(r"[0-9]{1,9}")
_UUID = re.compile(UUID_PATTERN.replace("$", r"\Z"))


class In(BaseModel):
    """A request body: unknown fields refused, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Out(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(frozen=True)


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding (RFC 4648 section 4), one spelling per value: no line breaks,
    no missing padding, no stray bits in the last character. Raises ValueError for anything else.
    """
    if text[-1:] == "=" and text[-2:-1] not in _LAST_OF_THREE and text[-3:] not in _LAST_OF_TWO:
        raise ValueError("not canonical base64")
    return pybase64.b64decode(text, validate=True)


class NotBytes(ValueError):
    """Something else stands where the protocol has bytes; `reason` says what belongs there."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def bytes_in_json(value: object) -> bytes:
    """Bytes as JSON writes them. Raises NotBytes."""
    if type(value) is not str:
        raise NotBytes("must be base64 text")
    try:
        return decode_base64(value)
    except ValueError:
        raise NotBytes("must be base64") from None


def bytes_in_messagepack(value: object) -> bytes:
    """Bytes as MessagePack writes them: as they are. Raises NotBytes."""
    if type(value) is not bytes:
        raise NotBytes("must be bytes")
    return value


def _base64_field(value: Any, info: ValidationInfo) -> bytes:
    """What a body holds is read as its format says (`Format.bytes_of`, the validation's context);
    an answer's bytes come as such from us, and as JSON when it is turned into MessagePack."""
    read = info.context or (bytes_in_json if isinstance(value, str) else bytes_in_messagepack)
    try:
        found: bytes = read(value)
        return found
    except NotBytes as error:
        kind = error.reason.replace(" ", "_")
        raise PydanticCustomError(kind, "has the wrong form") from None


def encode_base64(raw: bytes) -> str:
    """Bytes as the wire writes them."""
    return str(pybase64.b64encode_as_string(raw))


def is_uuid(text: str) -> bool:
    """Whether this is a UUIDv4 in the one spelling of the protocol."""
    return _UUID.match(text) is not None


def sized(least: int, most: int | None = None) -> AfterValidator:
    """Bytes of exactly `least`, or from `least` to `most`."""
    upper = least if most is None else most

    def check(value: bytes) -> bytes:
        if not least <= len(value) <= upper:
            raise PydanticCustomError("has_the_wrong_length", "has the wrong length")
        return value

    return AfterValidator(check)


def _digits(value: Any) -> Any:
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("must_be_an_integer", "must be an integer")
    return value


DIGITS = BeforeValidator(_digits)
"""A whole number in a query is digits and nothing else. Stands behind the number's bounds, which
else are not in the document."""
Base64 = Annotated[
    bytes,
    PlainValidator(_base64_field),
    PlainSerializer(encode_base64, when_used="json"),
    WithJsonSchema(BASE64_SCHEMA),
]
"""Bytes: base64 in JSON, raw in MessagePack, and raw in the model."""
Uuid = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
Thumbprint = Annotated[str, StringConstraints(pattern=THUMBPRINT_PATTERN)]
