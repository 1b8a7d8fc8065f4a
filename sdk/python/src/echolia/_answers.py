"""Reading what a server says without believing its shape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._canonical import is_id, unb64
from ._errors import (
    AnswerInvalid,
    EntitlementRequired,
    MassDelete,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    Refused,
)

if TYPE_CHECKING:
    import httpx

_BY_CODE: Mapping[str, type[Refused]] = {
    "entitlement_required": EntitlementRequired,
    "mass_delete": MassDelete,
    "quota_exceeded": QuotaExceeded,
    "too_many_stored_versions": QuotaExceeded,
}
_YEAR_SECONDS = 365.0 * 86400
_PROBLEM_FIELDS = frozenset({"type", "title", "status", "detail", "code"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object whose members are checked as they are read; AnswerInvalid otherwise."""

    fields: Mapping[str, Any]

    @classmethod
    def of(cls, value: object) -> Answer:
        if not isinstance(value, dict):
            raise AnswerInvalid("the server's answer is not an object")
        return cls(value)

    def text(self, name: str) -> str:
        return str(self._typed(name, str))

    def number(self, name: str) -> int:
        return int(self._typed(name, int))

    def flag(self, name: str) -> bool:
        return bool(self._typed(name, bool))

    def data(self, name: str) -> bytes:
        try:
            return unb64(self.text(name))
        except ValueError:
            raise AnswerInvalid(f"the server's answer has a bad {name}") from None

    def id(self, name: str) -> str:
        value = self.text(name)
        if not is_id(value):
            raise AnswerInvalid(f"the server's answer has a bad {name}")
        return value

    def has(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def object(self, name: str) -> Answer:
        return Answer.of(self.fields.get(name))

    def objects(self, name: str) -> Iterator[Answer]:
        for value in self._typed(name, list):
            yield Answer.of(value)

    def _typed(self, name: str, kind: type) -> Any:
        value = self.fields.get(name)
        if type(value) is not kind:
            raise AnswerInvalid(f"the server's answer has a bad {name}")
        return value


def read_answer(response: httpx.Response) -> Answer:
    """The body of a success as an object; an empty body is an empty object."""
    if not response.content:
        return Answer({})
    try:
        return Answer.of(json.loads(response.content))
    except (ValueError, RecursionError):
        raise AnswerInvalid("the server's answer is not JSON") from None


def problem_code(response: httpx.Response) -> str:
    """The stable word of a problem answer (RFC 9457), or "" when there is none."""
    try:
        code = read_answer(response).fields.get("code")
    except AnswerInvalid:
        return ""
    return code if isinstance(code, str) else ""


def refusal(response: httpx.Response) -> Refused:
    """The error that an answer outside 2xx stands for."""
    try:
        fields = read_answer(response).fields
    except AnswerInvalid:
        fields = {}
    code = problem_code(response) or f"http_{response.status_code}"
    extras = {name: value for name, value in fields.items() if name not in _PROBLEM_FIELDS}
    if response.status_code in (429, 503):
        extras["retry_after"] = retry_after(response)
        kind: type[Refused] = RateLimited
    elif response.status_code == 401 or code == "device_revoked":
        kind = NotAuthenticated
    else:
        kind = _BY_CODE.get(code, Refused)
    return kind(response.status_code, code, str(fields.get("detail") or ""), extras)


def retry_after(response: httpx.Response) -> float:
    """Seconds of a `Retry-After` header, a year at most; 1 when it is absent or a date."""
    try:
        return max(0.0, min(_YEAR_SECONDS, float(response.headers.get("Retry-After", "1"))))
    except ValueError:
        return 1.0
