"""What an export shows of each table, and why it leaves out the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import pybase64

from app.database.port import Statement, Value

PAGE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one table, in order of `key`, which is unique in it; `is_central` in the master
    database, where only the account's own are read."""

    name: str
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    is_central: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A row as its line, and where to go on behind it."""

    text: bytes
    key: tuple[Value, ...]


SECTIONS = (
    Section("account", "account", ("state", "created_at", "look_at"), ("user_id",), True),
    Section(
        "registration",
        "device",
        (
            *("device_id", "key_thumbprint", "status", "generation", "public_key", "wrapping_key"),
            *("wrapping_key_signature", "device_type", "platform", "device_name", "created_at"),
            "revoked_at",
        ),
        ("device_id",),
        True,
    ),
    Section(
        "pairing",
        "pairing",
        ("pairing_id", "device_id", "state", "created_at", "expires_at", "new_device_id"),
        ("pairing_id",),
        True,
    ),
    Section(
        "recovery",
        "recovery",
        (
            *("delay_seconds", "set_at", "set_by", "started_at", "is_pending", "used_at"),
            *("used_by", "removed_at", "removed_by"),
        ),
        ("user_id",),
        True,
    ),
    Section(
        "device",
        "device_info",
        (
            *("device_id", "key_thumbprint", "status", "generation", "public_key", "wrapping_key"),
            *("wrapping_key_signature", "device_type", "platform", "device_name", "created_at"),
            *("last_seen_day", "pulled_seq"),
        ),
        ("device_id",),
    ),
    Section(
        "session",
        "token_family",
        (
            *("family_id", "device_id", "generation", "confirmed_at", "created_at"),
            *("refreshed_at", "ends_at", "number", "status"),
        ),
        ("family_id",),
    ),
    Section(
        "security_event",
        "security_event",
        ("kind", "at", "device_id"),
        ("at", "kind", "COALESCE(device_id, '')"),
    ),
    Section(
        "embedding",
        "entry_embeddings",
        (
            *("entry_id", "model", "seq", "device_id", "key_epoch", "received_at"),
            "encrypted_vector",
        ),
        ("entry_id", "model"),
    ),
    Section(
        "usage",
        "llm_usage",
        (
            *("rid", "device_id", "day", "provider", "model", "status", "reserved_micros"),
            *("cost_micros", "created_at"),
        ),
        ("rid",),
    ),
)

LEFT_OUT: Mapping[str, str] = {
    "schema_version": "how old the tables are",
    "guard": "is always empty",
    "sync_state": "stands in the header and the end",
    "sync_commit": "random numbers by which cursors notice a restored database",
    "synced_entries": "items, which have lines of their own",
    "synced_memories": "items",
    "synced_tags": "items",
    "deletion": "holds nothing of an account that is there",
    "spent_challenge": "digests that name nobody",
    "spent_proof": "digests that name nobody",
    "account.user_id": "stands in the header",
    "device.user_id": "stands in the header",
    "pairing.user_id": "stands in the header",
    "recovery.user_id": "stands in the header",
    "recovery.locator": "is half of a credential",
    "recovery.authenticator_hash": "belongs to a credential",
    "recovery.bundle": "holds the vault's keys, which whoever can open it has anyway",
    "accounts_made": "keyed hashes that name nobody, for a day",
    "entry_embeddings.size": "the length of what is shown",
    "token_family.current_hash": "belongs to a token",
    "token_family.previous_hash": "belongs to a token",
    **{
        f"pairing.{column}": "sealed or signed for two devices, and gone within minutes"
        for column in (
            *("commitment", "public_key", "key_thumbprint", "wrapping_key", "device_type"),
            *("wrapping_key_signature", "platform", "device_name", "nonce", "signature", "mac"),
            *("existing_nonce", "wrapped_cek", "ciphertext", "approval"),
        )
    },
}


def select_page(section: Section, user_id: str, after: Sequence[Value]) -> Statement:
    """The next rows of a section as `Line`s; `after` is the key of the one before, if any."""
    conditions, params = [], list[Value]()
    if section.is_central:
        conditions.append("user_id = ?")
        params.append(user_id)
    if after:
        conditions.append(f"({', '.join(section.key)}) > ({', '.join('?' * len(after))})")
        params.extend(after)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return Statement(
        f"SELECT {', '.join((*section.key, *section.columns))} FROM {section.table}{where}"
        f" ORDER BY {', '.join(section.key)} LIMIT {PAGE_ROWS}",
        params,
        partial(_line, section),
    )


def _line(section: Section, *row: Any) -> Line:
    key, values = row[: len(section.key)], row[len(section.key) :]
    shown = {name: _shown(value) for name, value in zip(section.columns, values, strict=True)}
    return Line(orjson.dumps({"type": section.name, **shown}) + b"\n", key)


def _shown(value: Value) -> Value:
    return pybase64.b64encode_as_string(value) if isinstance(value, bytes) else value
