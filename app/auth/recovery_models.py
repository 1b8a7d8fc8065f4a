"""Wire shapes of recovery."""

from typing import Annotated, Self

from pydantic import Field

from app.auth.devices import Session
from app.auth.models import DeviceKeysIn, SessionOut
from app.auth.recovery import (
    AUTHENTICATOR_BYTES,
    LOCATOR_BYTES,
    MAX_DELAY_SECONDS,
    Offered,
    RecoveryAttempt,
)
from app.http.fields import Base64, In, sized

MAX_RECOVERY_BODY_BYTES = 64 * 1024


class RecoveryIn(In):
    """A phrase's halves that the server keeps, and what the third opens."""

    locator: Annotated[Base64, sized(LOCATOR_BYTES)]
    authenticator_hash: Annotated[Base64, sized(32)]
    bundle: Annotated[Base64, sized(1, MAX_RECOVERY_BODY_BYTES)]
    delay_seconds: Annotated[int, Field(ge=0, le=MAX_DELAY_SECONDS)] | None = None
    only_renew: bool = False

    def offered(self) -> Offered:
        return Offered(
            locator=self.locator,
            authenticator_hash=self.authenticator_hash,
            bundle=self.bundle,
            delay_seconds=self.delay_seconds,
            only_renew=self.only_renew,
        )


class RecoverIn(DeviceKeysIn):
    """Come in with a phrase and a new key."""

    locator: Annotated[Base64, sized(LOCATOR_BYTES)]
    authenticator: Annotated[Base64, sized(AUTHENTICATOR_BYTES)]
    challenge: Base64

    def attempt(self) -> RecoveryAttempt:
        return RecoveryAttempt(
            claim=self.claim(),
            challenge=self.challenge,
            signature=self.signature,
            locator=self.locator,
            authenticator=self.authenticator,
        )


class RecoverOut(SessionOut):
    """A session, and what the phrase's third part opens."""

    bundle: Base64

    @classmethod
    def with_bundle(cls, session: Session, bundle: bytes) -> Self:
        fields = SessionOut.of(session).model_dump()
        return cls(**fields, bundle=bundle)
