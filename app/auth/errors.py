"""This feature's leaves of the error tree."""

from app.errors import Forbidden, Gone, Invalid, NotAuthenticated, StateConflict, TooLarge


class LoginFailed(NotAuthenticated):
    """Unknown key, wrong signature, spent or expired challenge, revoked device: one answer."""

    code = "login_failed"
    title = "This key and signature open nothing; take a fresh challenge and sign it."


class ChallengeInvalid(NotAuthenticated):
    """The challenge is not the server's, is expired, or was used."""

    code = "challenge_invalid"
    title = "The challenge is expired, spent or unknown; take a fresh one."


class SignatureInvalid(NotAuthenticated):
    """The signature does not fit key, challenge and origin."""

    code = "signature_invalid"
    title = "The signature does not fit; the signed origin must be the server's PUBLIC_ORIGIN."


class ProofRequired(NotAuthenticated):
    """This call needs a proof of possession in the `DPoP` header (RFC 9449)."""

    code = "proof_required"
    title = "This call needs a proof in the DPoP header."


class ProofInvalid(NotAuthenticated):
    """The proof does not fit the key, the call or the token."""

    code = "proof_invalid"
    title = "The proof does not fit this key, call or token."


class ProofReplayed(NotAuthenticated):
    """The proof was used before: every request needs a new one."""

    code = "proof_replayed"
    title = "This proof was used before; send the request with a new one."


class NonceRequired(NotAuthenticated):
    """The proof must carry the nonce of this answer's `DPoP-Nonce` header."""

    code = "use_dpop_nonce"
    title = "Make the proof again with the nonce in DPoP-Nonce."


class RefreshInvalid(NotAuthenticated):
    """The refresh token is unknown, its session ended, or its device is revoked."""

    code = "refresh_invalid"
    title = "This refresh token opens nothing; log in with the device's key."


class RefreshReused(NotAuthenticated):
    """An old refresh token came after its successor was used: the session is ended."""

    code = "refresh_reused"
    title = "This refresh token was used before; the session is ended. Log in with the key."


class StaleRequest(NotAuthenticated):
    """A late copy of a request that was answered already; nothing changed."""

    code = "stale_request"
    title = "This is a late copy of an earlier request; nothing changed."


class RecoveryFailed(NotAuthenticated):
    """No phrase has this locator, or its authenticator is another: one answer."""

    code = "recovery_failed"
    title = "This recovery phrase opens nothing."


class RecoveryDelayed(Forbidden):
    """The account's other devices may object until `available_at` (Unix seconds)."""

    code = "recovery_delayed"
    title = "The account's other devices have been told; ask again when the wait is over."


class DeviceRevoked(Forbidden):
    """The key belongs to a device that was revoked."""

    code = "device_revoked"
    title = "This device was revoked; it needs a new key and a new pairing."


class RegistrationClosed(Forbidden):
    """This server opens no new accounts."""

    code = "registration_closed"
    title = "This server opens no new accounts."


class ProofOfWorkRequired(Invalid):
    """The challenge asks for work, of `difficulty` zero bits, and none came."""

    code = "proof_of_work_required"
    title = "A new account takes work just now: do what the challenge asks for, and send it."


class ProofOfWorkInvalid(Invalid):
    """The hash of challenge and solution does not begin with `difficulty` zero bits."""

    code = "proof_of_work_invalid"
    title = "proof_of_work does not fit the challenge."


class WrappingKeyDiffers(StateConflict):
    """The device is known under another wrapping key, which others have signed."""

    code = "wrapping_key_differs"
    title = "This device is known under another wrapping key."


class LastDevice(StateConflict):
    """The last live device of an account cannot be revoked."""

    code = "last_device"
    title = "This is the account's last live device."


class TooManyDevices(StateConflict):
    """The account has `limit` live devices already."""

    code = "too_many_devices"
    title = "The account has as many live devices as it may have."


class PublicKeyInUse(StateConflict):
    """The key belongs to a device already."""

    code = "public_key_in_use"
    title = "This key belongs to a device already."


class RecoveryLocatorTaken(StateConflict):
    """The locator is in use; draw another phrase."""

    code = "recovery_locator_taken"
    title = "This recovery phrase is in use; draw another."


class RecoveryReplaced(StateConflict):
    """A newer bundle came for a phrase that is no longer the account's."""

    code = "recovery_replaced"
    title = "This recovery phrase is no longer the account's."


class WrappingKeySignatureInvalid(Invalid):
    """The device's signing key did not sign this wrapping key."""

    code = "wrapping_key_signature_invalid"
    title = "wrapping_key_signature does not fit wrapping_key and public_key."


class WrappingKeyRequired(Invalid):
    """A key that cannot wrap needs a wrapping key beside it."""

    code = "wrapping_key_required"
    title = "This kind of public_key needs a wrapping_key beside it."


class TooManyPairings(StateConflict):
    """The account has three open pairings; one must end first."""

    code = "too_many_pairings"
    title = "The account has as many open pairings as it may have."


class PairingConflict(StateConflict):
    """A second device tried to join: the pairing is over, start anew."""

    code = "pairing_conflict"
    title = "Another device tried to join this pairing; start a new one."


class PairingState(StateConflict):
    """The step does not fit the pairing's present `state`."""

    code = "pairing_state"
    title = "This step does not fit the pairing's present state."


class CommitmentMismatch(Invalid):
    """The nonce is not the one committed to when the pairing was opened."""

    code = "pairing_commitment"
    title = "The nonce does not fit the commitment."


class PairingExpired(Gone):
    """The pairing's five minutes are over."""

    code = "pairing_expired"
    title = "This pairing has expired; start a new one."


class PairingCancelled(Gone):
    """Somebody ended the pairing."""

    code = "pairing_cancelled"
    title = "This pairing was cancelled; start a new one."


class PairingPayloadTooLarge(TooLarge):
    """The sealed payload is over 16 KiB."""

    code = "pairing_payload_too_large"
    title = "The sealed payload of a pairing holds at most 16 KiB."


class RecoveryBundleTooLarge(TooLarge):
    """The sealed bundle is over 16 KiB."""

    code = "recovery_bundle_too_large"
    title = "The sealed bundle of a recovery phrase holds at most 16 KiB."
