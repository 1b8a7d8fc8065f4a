"""The published limits: one home for every number a client has to keep to."""

from app.config import Settings

MAX_VERSIONS = 8
"""Versions of one item."""
MAX_CLOCK_ENTRIES = 64
MAX_TOMBSTONE_BYTES = 4096
MAX_PULL_LIMIT = 500
DEFAULT_PULL_LIMIT = 500
MAX_PULL_BYTES = 4 * 1024 * 1024
"""`encrypted_data` in one page, and in the versions that answer one push."""
MAX_WAIT_SECONDS = 25
MAX_DEVICE_NAME = 512
BYTES_PER_VERSION = 1024
"""An account may hold one version for each so many bytes of its storage limit: what rows and their
places in indexes take, about a third of this, must not fill the disk beside the counted bytes."""
LEAST_VERSIONS = 10_000
"""So many it may hold however low its storage limit is."""


def versions_limit(limit_bytes: int) -> int:
    """Versions that an account with this storage limit may hold."""
    return max(LEAST_VERSIONS, limit_bytes // BYTES_PER_VERSION)


def published_limits(settings: Settings) -> dict[str, int]:
    """The limits as `GET /` and `GET /sync/status` tell them, under their stable names."""
    return {
        "max_push_changes": settings.max_push_changes,
        "max_push_bytes": settings.max_push_bytes,
        "max_item_bytes": settings.max_item_bytes,
        "max_tombstone_bytes": MAX_TOMBSTONE_BYTES,
        "storage_limit_bytes": settings.storage_limit_bytes,
        "max_stored_versions": versions_limit(settings.storage_limit_bytes),
        "max_pull_limit": MAX_PULL_LIMIT,
        "max_pull_bytes": MAX_PULL_BYTES,
        "max_wait_seconds": MAX_WAIT_SECONDS,
        "max_versions": MAX_VERSIONS,
        "max_clock_entries": MAX_CLOCK_ENTRIES,
        "max_devices": settings.max_devices,
        "max_device_name": MAX_DEVICE_NAME,
    }
