"""Requests to typed things."""

from typing import cast

from starlette.requests import Request

from app.account.export_service import AccountExport
from app.account.service import AccountService


def account_of(request: Request) -> AccountService:
    """The running application's accounts."""
    return cast("AccountService", request.app.state.account)


def export_of(request: Request) -> AccountExport:
    """The running application's exports."""
    return cast("AccountExport", request.app.state.export)
