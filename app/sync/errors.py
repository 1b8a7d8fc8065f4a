"""This feature's leaves of the error tree."""

from app.errors import Invalid, StateConflict, TooLarge


class TooManyChanges(TooLarge):
    """A push holds more changes than `limit`."""

    code = "too_many_changes"
    title = "A push holds at most as many changes as the published limit."


class QuotaExceeded(TooLarge):
    """The push would raise `used` above `limit` (bytes); nothing of it was stored."""

    code = "quota_exceeded"
    title = "The account's storage is full; nothing of this push was stored."


class TooManyStoredVersions(TooLarge):
    """The account would hold more versions than `limit`; nothing of the push was stored."""

    code = "too_many_stored_versions"
    title = "The account holds as many versions as it may; nothing of this push was stored."


class CursorInvalid(Invalid):
    """Not a cursor that this server gave to this account."""

    code = "cursor_invalid"
    title = "This cursor was not given out by this server for this account."


class ResetNotNeeded(Invalid):
    """`reset_from` names a cursor from which an ordinary pull works."""

    code = "reset_not_needed"
    title = "This cursor still works: pull from it instead of resetting."


class ForeignAuthor(Invalid):
    """A change names another author than the pusher, and the push is no reset."""

    code = "foreign_author"
    title = "Only a push with reset_from may hold versions of another device."


class ResetRequired(StateConflict):
    """The cursor cannot be continued, for `reason`: pull from the start, merge, and push what is
    missing with `reset_from`."""

    code = "reset_required"
    title = "Pull from the start, merge, and push what is missing with reset_from."


class AtomicAborted(StateConflict):
    """An atomic push met a rejection or a stale change: `results` holds those; nothing was
    stored."""

    code = "atomic_aborted"
    title = "One change could not be applied, so none was."


class MassDelete(StateConflict):
    """The push, with what the device deleted in the ten minutes before, would delete more than half
    of the live items and more than 100: send `confirm_deletes` with the exact number of this push
    if that is meant."""

    code = "mass_delete"
    title = "This push deletes most of the account; confirm the exact number of deletes."
