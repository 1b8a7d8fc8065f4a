"""A user's database as one request may use it.

Every unit of work looks first whether the request's device and session are good, in the very
snapshot or transaction that does the work. So revocation holds for whatever begins after it, a
push cannot cross it, and it costs no look of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.auth import store
from app.auth.access_token import AccessClaims
from app.auth.devices import CurrentDevice
from app.auth.public_key import thumbprint_text
from app.auth.refresh import Family
from app.clock import Clock, day_of
from app.database.port import (
    Database,
    Decided,
    Mark,
    Missing,
    Outcome,
    Plan,
    Rows,
    Statement,
    Then,
)
from app.errors import NotAuthenticated

Standing: TypeAlias = Literal["good", "revoked", "ended", "superseded"]
"""Of whoever holds an access token: may come in; the device is out; the session is over; the
session goes on under newer tokens."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A request let in: who it comes from, and what is to be noted of this use."""

    device: CurrentDevice
    notes: tuple[Statement, ...]


def question(claims: AccessClaims) -> Statement:
    """Reads what `admit` needs to know."""
    return store.select_session(claims.device_id, claims.family_id)


def admit(claims: AccessClaims, rows: Rows, now: int) -> Admission:
    """Raises NotAuthenticated unless device and session are good now. The first use of a pair of
    tokens ends the pair before; a day's first use is noted."""
    if standing(claims, rows, now) != "good":
        raise NotAuthenticated
    family, seen_day = store.family_of(rows[0]), store.status_of(rows[0])[4]
    device = store.current_device_of(claims.user_id, rows[0])
    notes: list[Statement] = []
    if claims.family_generation == family.generation and family.confirmed_at is None:
        notes.append(store.confirm_family(family.family_id, family.generation, now))
    if seen_day < day_of(now):
        notes.append(store.see_device(claims.device_id, day_of(now)))
    return Admission(device, tuple(notes))


def standing(claims: AccessClaims, rows: Rows, now: int) -> Standing:
    """How whoever holds the token stands, by what `question` read."""
    if not rows:
        return "ended"
    status, generation, thumbprint, _, _ = store.status_of(rows[0])
    if status != "active" or generation != claims.generation:
        return "revoked"
    if thumbprint_text(thumbprint) != claims.thumbprint:
        return "revoked"
    return _standing_of(store.family_of(rows[0]), claims, now)


def _standing_of(family: Family, claims: AccessClaims, now: int) -> Standing:
    """Good if the session lives and the token is of its newest pair, or of the one before while
    the newest was never used."""
    if family.status != "active" or now >= family.ends_at:
        return "ended"
    behind = family.generation - claims.family_generation
    is_newest = behind == 0 or (behind == 1 and family.confirmed_at is None)
    return "good" if is_newest else "superseded"


class AdmittedDatabase:
    """The port's calls, each of which raises NotAuthenticated if the caller is not let in."""

    def __init__(self, db: Database, claims: AccessClaims, clock: Clock) -> None:
        self._db = db
        self._claims = claims
        self._clock = clock
        self._is_known = False

    @property
    def user_id(self) -> str:
        """Whose database it is; signed by us, but good only once a call has returned."""
        return self._claims.user_id

    @property
    def device_id(self) -> str:
        """Who asks; signed by us, but good only once a call has returned."""
        return self._claims.device_id

    @property
    def expires_at(self) -> int:
        """When the caller's access token ends, Unix seconds."""
        return self._claims.expires_at

    async def look(
        self, others: Sequence["AdmittedDatabase"], statements: Sequence[Statement]
    ) -> tuple[list[Standing], list[Rows]]:
        """How others of the same account stand, and what the statements read, in one snapshot.
        Nothing of it is noted as a use."""
        asked = [question(other._claims) for other in others]
        try:
            rows = await self._db.read([*asked, *statements])
        except Missing:
            return ["revoked" for _ in others], []
        now = int(self._clock())
        seen = zip(others, rows[: len(asked)], strict=True)
        return [standing(other._claims, found, now) for other, found in seen], rows[len(asked) :]

    async def read(
        self,
        statements: Sequence[Statement],
        at_least: Mark = None,
        then: Then | None = None,
    ) -> list[Rows]:
        """See `Database.read`."""
        return (await self._admitted(statements, at_least, then))[1]

    async def device(self) -> CurrentDevice:
        """Who asks."""
        return (await self._admitted((), None, None))[0]

    async def make_known(self) -> None:
        """The caller was let in, and this use of its tokens is noted, even if the request itself
        came to nothing. Raises NotAuthenticated."""
        if not self._is_known:
            await self.device()

    async def decide(
        self, reads: Sequence[Statement], plan: Callable[[list[Rows]], Plan[Outcome]]
    ) -> Decided[Outcome]:
        """See `Database.decide`; what is written is guarded by the device being live."""

        def admitted(rows: list[Rows]) -> Plan[tuple[Outcome, int]]:
            admission = admit(self._claims, rows[0], int(self._clock()))
            made = plan(rows[1:])
            own = (store.device_is_live(admission.device), *admission.notes)
            return Plan((*own, *made.statements), (made.outcome, len(own)))

        try:
            decided = await self._db.decide([question(self._claims), *reads], admitted)
        except Missing:
            raise NotAuthenticated from None
        self._is_known = True
        outcome, own = decided.outcome
        return Decided(outcome, decided.rows[own:])

    async def _admitted(
        self, statements: Sequence[Statement], at_least: Mark, then: Then | None
    ) -> tuple[CurrentDevice, list[Rows]]:
        admissions: list[Admission] = []

        def admitted(rows: list[Rows]) -> Sequence[Statement]:
            admissions.append(admit(self._claims, rows[0], int(self._clock())))
            return then(rows[1:]) if then is not None else ()

        try:
            rows = await self._db.read([question(self._claims), *statements], at_least, admitted)
        except Missing:
            raise NotAuthenticated from None
        admission = admissions[-1]
        if admission.notes:
            await self._db.write(admission.notes)
        self._is_known = True
        return admission.device, rows[1:]
