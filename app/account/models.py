"""Wire shapes of `/account`."""

from app.http.fields import Base64, In, Out


class DeleteIn(In):
    """A device's yes to the end of its account: a challenge of that purpose, signed."""

    challenge: Base64
    signature: Base64


class StorageOut(Out):
    used: int
    limit: int


class AccountOut(Out):
    user_id: str
    created_at: int
    devices: int
    storage: StorageOut
    entitlements: list[str]
