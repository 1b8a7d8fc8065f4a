"""SQL of how many accounts an address has made today: statements out, rows in."""

from app.database.port import Rows, Statement
from app.rates.addresses import Stranger
from app.rates.buckets import NEW_ACCOUNTS_A_DAY, SITE_FACTOR


def select_made_today(stranger: Stranger, day: int) -> Statement:
    return Statement(
        "SELECT stranger, accounts FROM accounts_made WHERE day = ? AND stranger IN (?, ?)",
        (day, stranger.one, stranger.site),
    )


def is_used_up(stranger: Stranger, rows: Rows) -> bool:
    """Whether the address, or the site around it, has made as many as it may in a day."""
    made = dict(rows)
    most_of_site = NEW_ACCOUNTS_A_DAY * SITE_FACTOR
    return made.get(stranger.one, 0) >= NEW_ACCOUNTS_A_DAY or (
        stranger.site is not None and made.get(stranger.site, 0) >= most_of_site
    )


def count_one(stranger: Stranger, day: int) -> tuple[Statement, ...]:
    """One more today; what other days counted is forgotten."""
    keys = [key for key in (stranger.one, stranger.site) if key is not None]
    return (forget_before(day), *(_count(key, day) for key in keys))


def forget_before(day: int) -> Statement:
    return Statement("DELETE FROM accounts_made WHERE day < ?", (day,))


def _count(key: bytes, day: int) -> Statement:
    return Statement(
        "INSERT INTO accounts_made (day, stranger, accounts) VALUES (?, ?, 1)"
        " ON CONFLICT (day, stranger) DO UPDATE SET accounts = accounts + 1",
        (day, key),
    )
