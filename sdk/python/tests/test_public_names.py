"""What users of the library may rely on."""

from __future__ import annotations

import inspect

import echolia

NAMES = """
Account AccountImport AlreadySetUp AmbiguousId AnswerInvalid CannotOpen Client Device DeviceAuth
EcholiaError EntitlementRequired Entries Entry ExportDamaged ExportSummary HeldBack Invite
ItemContext ItemNotFound Join KeyringError KeysNeeded LinkInvalid LocalStatus MassDelete Memories
Memory MergePolicy NotAuthenticated NotSetUp Offline Options OtherAccount Overview
PairingCancelled PairingConflict PairingError PairingExpired PairingForged PayloadInvalid
PhraseInvalid QuotaExceeded RateLimited RecoveryDelayed RecoveryError RecoveryForged
RecoveryRefused RecoveryStatus Refused SecurityEvent ServerError Session Sibling StoreError
SyncReport Tag Tags Update VectorClock WrongCode WrongPassphrase __version__ check_export
erase_device keep_both new_phrase open_envelope padded_length seal
"""


def test_the_public_names_change_only_on_purpose() -> None:
    assert set(echolia.__all__) == set(NAMES.split())
    assert all(getattr(echolia, name) is not None for name in echolia.__all__)


def test_every_error_has_the_one_root_and_a_place_in_the_picture() -> None:
    from echolia import _errors

    found = [kind for _, kind in inspect.getmembers(_errors, inspect.isclass)]
    errors = [kind for kind in found if issubclass(kind, Exception)]
    assert all(issubclass(kind, echolia.EcholiaError) for kind in errors)
    assert all(kind.__name__ in str(_errors.__doc__) for kind in errors)


def test_every_module_but_the_terminal_client_is_private() -> None:
    names = {name for name in dir(echolia) if not name.startswith("_")}
    modules = {name for name in names if inspect.ismodule(getattr(echolia, name))}
    assert modules <= {"cli"}
