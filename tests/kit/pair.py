"""Pairing as two strangers' clients would do it, without sealing anything real."""

import hashlib
import os
import uuid
from typing import Any

import httpx

from tests.kit.device import Device
from tests.kit.keys import b64, lp


def join_body(device: Device, existing: Device, pairing_id: str, **fields: Any) -> dict[str, Any]:
    """What the new device sends to join."""
    nonce = os.urandom(16)
    transcript = hashlib.sha256(
        lp(
            b"echolia/pair/v1",
            device.origin.encode(),
            uuid.UUID(pairing_id).bytes,
            existing.key.thumbprint,
            device.key.thumbprint,
            nonce,
        )
    ).digest()
    wrapping = device.key  # an ECDH key of the same kind would do; its signature is what counts
    vouched = lp(
        b"echolia/wrapping-key/v1", device.origin.encode(), device.key.thumbprint, wrapping.der
    )
    body = {
        "public_key": device.key.pem,
        "wrapping_key": wrapping.pem,
        "wrapping_key_signature": b64(device.key.sign(vouched)),
        "nonce": b64(nonce),
        "signature": b64(device.key.sign(transcript)),
        "mac": b64(os.urandom(32)),
        "device_type": "mobile",
        "platform": "ios",
    }
    return body | fields


async def opened(existing: Device) -> str:
    """The id of a new pairing."""
    answer = await existing.call("POST", "/auth/pairings", {}, proof=True)
    return str(answer.raise_for_status().json()["pairing_id"])


async def as_joiner(device: Device, method: str, path: str, body: object = None) -> httpx.Response:
    """A call of the new device: a proof of the key that joined, no token."""
    headers = {"DPoP": device.proof(method, path, None)}
    return await device.call(method, path, body, token=None, headers=headers)


async def paired(existing: Device, new: Device) -> Device:
    """`new` is a device of `existing`'s account afterwards, with a session."""
    pairing_id = await opened(existing)
    path = f"/auth/pairings/{pairing_id}"
    body = join_body(new, existing, pairing_id)
    (await new.call("POST", f"{path}/join", body, token=None)).raise_for_status()
    await existing.call("POST", f"{path}/reveal", {"nonce": b64(os.urandom(32))})
    approval = {
        "key_thumbprint": new.key.thumbprint_text,
        "wrapped_cek": b64(os.urandom(384)),
        "ciphertext": b64(os.urandom(300)),
        "signature": b64(os.urandom(64)),
    }
    approved = await existing.call("POST", f"{path}/approve", approval, proof=True)
    approved.raise_for_status()
    (await as_joiner(new, "POST", f"{path}/collect", {})).raise_for_status()
    completed = await as_joiner(new, "POST", f"{path}/complete", {})
    new.session = completed.raise_for_status().json()
    return new
