"""init, pair, sync, status, devices, revoke."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from .._client import PAIRING_SECONDS, Client, Join
from .._errors import AmbiguousId, ItemNotFound, PairingForged, WrongCode
from .._home import Options
from .._pairing import Invitation
from .._report import SyncReport
from ._output import Output, printable, when
from ._secrets import passphrase_to_create

INCOMPLETE = 7
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ADVICE = {
    "quota_exceeded": "the account's storage is full",
    "too_many_stored_versions": "the account holds as much as it may",
    "too_large": "too large for this server",
    "stale_key_epoch": "made with a vault key that was replaced meanwhile",
    "unknown_key_epoch": "made with a vault key the server does not know",
    "entitlement_required": "this account may read but not write until it is paid for",
    "mass_delete": "the server wants a yes for so many deletions",
    "unknown_device": "the server does not know this device",
}

_EVENTS = {
    "device_added": "a device was added",
    "device_revoked": "a device was revoked",
    "recovery_set": "a recovery phrase was made",
    "recovery_started": "somebody with the recovery phrase asked to come in",
    "recovery_used": "a device came in by the recovery phrase",
    "recovery_removed": "the recovery phrase was removed",
    "session_reuse": "a device's session was copied, and ended",
}


def init(args: Namespace, output: Output) -> int:
    passphrase = passphrase_to_create(args, output)
    warn_of_plain_http(args.server, output)
    with Client.create(
        args.home,
        server=args.server,
        passphrase=passphrase,
        device_name=args.name,
        key=args.key,
        options=Options(on_wait=output.waiting),
    ) as client:
        status = client.status()
    value = {
        "user_id": status.user_id,
        "device_id": status.device_id,
        "device_name": status.device_name,
        "server": status.server,
    }
    output.result(value, f'this device is "{status.device_name}"; the account is ready')
    return 0


def invite(client: Client, args: Namespace, output: Output) -> int:
    invitation = client.invite()
    if not output.for_scripts:
        output.qr(invitation.link)
        output.note("On the new device: echolia pair --join LINK, with this link:")
    output.line(invitation.link)
    output.note("Waiting for the new device…")
    try:
        invitation.wait_for_join(PAIRING_SECONDS)
        while True:
            try:
                invitation.approve(_ask_code())
                break
            except WrongCode as error:
                output.note(str(error))
    except (KeyboardInterrupt, EOFError, PairingForged):
        invitation.cancel()
        raise
    output.result({"paired": True}, "paired: the new device now has the journal's keys")
    return 0


def _ask_code() -> str:
    print("Code shown on the new device: ", end="", file=sys.stderr, flush=True)
    code = sys.stdin.readline()
    if not code:
        raise EOFError("no code was given: the pairing is cancelled")
    return code.replace(" ", "").strip()


def join(args: Namespace, output: Output) -> int:
    link = sys.stdin.readline() if args.join == "-" else args.join
    origin = Invitation.parse(link).origin
    passphrase = passphrase_to_create(args, output)
    output.note(f"joining an account on {origin}")
    warn_of_plain_http(origin, output)
    options = Options(on_wait=output.waiting)
    with Join(
        args.home,
        link,
        passphrase=passphrase,
        device_name=args.name,
        key=args.key,
        options=options,
    ) as joining:
        code = joining.show_code(PAIRING_SECONDS)
        if output.for_scripts:
            output.line(code)
        else:
            output.line(f"Type this code on the other device:  {code[:3]} {code[3:]}")
        joined = joining.finish(PAIRING_SECONDS)
    with joined as client, output.progress() as progress:
        report = client.sync(progress=progress)
        status = client.status()
    value = {"paired": True, "device_id": status.device_id, "items": status.items}
    output.result(value, f'paired: this device is "{status.device_name}"')
    return 0 if report.complete else INCOMPLETE


def warn_of_plain_http(server: str, output: Output) -> None:
    parts = urlsplit(server)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        output.note(
            "warning: no TLS: texts are sealed, but the network between sees who syncs and when"
        )


def sync(client: Client, args: Namespace, output: Output) -> int:
    with output.progress() as progress:
        report = client.sync(
            confirm_deletes=args.confirm_deletes, verify=args.verify, progress=progress
        )
    output.result(_as_json(report), f"{report.pushed} sent, {report.pulled} fetched")
    _explain(report, output)
    return 0 if report.complete else INCOMPLETE


def _explain(report: SyncReport, output: Output) -> None:
    for held in report.held_back[:10]:
        reason = _ADVICE.get(held.code, held.code)
        output.note(f"kept here only: {held.key.item_id[:8]}: {reason}")
    if len(report.held_back) > 10:
        output.note(f"… and {len(report.held_back) - 10} more")
    if report.mass_delete is not None:
        count = report.pending_deletes
        output.note(f"to delete {count} items: echolia sync --confirm-deletes {count}")
    if report.conflicts:
        output.note(f"{report.conflicts} written on several devices at once; all texts are kept")
    if report.dropped:
        output.note(f"{report.dropped} went that other devices deleted long ago")
    if report.verified:
        output.note(f"compared with the server: {report.mended or 'none'} had to be mended")
    if report.unopenable:
        output.note(f"{report.unopenable} versions from the server cannot be opened; set aside")
    if report.older_than_known:
        output.note(f"the server showed {report.older_than_known} versions older than known here")


def _as_json(report: SyncReport) -> dict[str, Any]:
    return {
        "complete": report.complete,
        "pushed": report.pushed,
        "pulled": report.pulled,
        "merged": report.merged,
        "conflicts": report.conflicts,
        "pending": report.pending,
        "unopenable": report.unopenable,
        "older_than_known": report.older_than_known,
        "dropped": report.dropped,
        "reset": report.reset,
        "verified": report.verified,
        "mended": report.mended,
        "held_back": [{"id": one.key.item_id, "code": one.code} for one in report.held_back],
        "mass_delete": report.mass_delete and report.pending_deletes,
    }


def status(client: Client, args: Namespace, output: Output) -> int:
    local = client.status()
    counts = ", ".join(f"{count} {name}" for name, count in local.items.items())
    lines = [
        f"device     {printable(local.device_name)} ({local.device_id[:8]})",
        f"server     {local.server}",
        f"journal    {counts}",
        f"waiting    {local.pending} to send",
        f"conflicts  {local.conflicts}",
        f"set aside  {local.unopenable}",
        f"last sync  {when(local.synced_at)}",
    ]
    output.result(asdict(local), "\n".join(lines))
    return 0


def devices(client: Client, args: Namespace, output: Output) -> int:
    seen = client.overview()
    found = seen.devices
    if output.as_json:
        output.result([asdict(device) for device in found], "")
        return 0
    rows = [
        [
            device.id[:8],
            "this one" if device.is_current else device.status,
            device.platform,
            device.name or "(name not readable)",
        ]
        for device in found
    ]
    output.table(["id", "status", "platform", "name"], rows)
    for event in client.unseen(seen.events):
        who = f" ({event.device_id[:8]})" if event.device_id else ""
        what = _EVENTS.get(event.kind, event.kind)
        output.note(f"new since the last look: {when(event.at)}  {what}{who}")
    if seen.recovery is not None and seen.recovery.available_at is not None:
        output.note(
            "somebody with the recovery phrase comes in after"
            f" {when(seen.recovery.available_at)}; if it is not you: echolia recovery cancel"
        )
    return 0


def revoke(client: Client, args: Namespace, output: Output) -> int:
    if not args.id:
        raise ItemNotFound("no device has this id")
    seen = client.overview()
    matches = [one for one in seen.devices if one.id.startswith(args.id.lower())]
    if not matches:
        raise ItemNotFound("no device has this id")
    if len(matches) > 1:
        raise AmbiguousId(f"{len(matches)} devices begin with this id: give more of it")
    device = matches[0]
    if device.is_current and args.id.lower() != device.id:
        raise ItemNotFound(f"this is the device you are at; to lock it out: revoke {device.id}")
    client.revoke(device.id)
    output.result(
        {"device_id": device.id, "revoked": True},
        f"revoked {device.id[:8]}; what it has read it keeps",
    )
    if seen.recovery is not None and seen.recovery.device_id == device.id:
        output.note("the recovery phrase was made on that device: echolia recovery create")
    return 0
