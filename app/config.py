"""The settings: read once, checked at once, handed down; nothing else reads the environment."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIN_SECRET_BYTES = 32
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
MAX_POW_BITS = 24
"""Some half a minute of a slow client: a challenge lives two."""
KIB = 1024
MIB = 1024 * KIB
TEN_YEARS = 10 * 365 * 86400
MAX_SAFE_INTEGER = 2**53 - 1
"""The largest that every client reads exactly (RFC 7493 section 2.2)."""


class SettingsError(Exception):
    """A setting is wrong; the message names the variable and never its value."""


class Settings(BaseSettings):
    """Every setting of the server. Each has a default under which `make run` works."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    environment: Literal["development", "production"] = Field(
        "development",
        description="`production` refuses to start with a missing or weak `JWT_SECRET`, with "
        "`DEBUG=true`, `RATE_LIMITS=off`, a wildcard in `CORS_ORIGINS`, or a plain-http "
        "`PUBLIC_ORIGIN`.",
    )
    debug: bool = Field(
        False, description="Serves `/docs`, `/redoc` and `/openapi.json`; never in production."
    )
    data_dir: Path = Field(
        Path("data"),
        description="Folder of the embedded databases and of generated development secrets.",
    )
    public_origin: str = Field(
        "http://localhost:8000",
        description="Origin (RFC 6454) that clients reach the server at; bound into every "
        "signature and proof.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Web origins that may call the server, separated by commas."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses and networks (CIDR) of your own proxies, separated by commas: from "
        "them alone `X-Forwarded-For` is believed.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe events written as JSON lines on standard output."
    )
    jwt_secret: SecretStr | None = Field(
        None,
        description="Root of all server keys, at least 32 bytes. In development one is generated "
        "into `DATA_DIR`.",
    )
    jwt_secret_previous: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Earlier values of `JWT_SECRET` that still verify, separated by commas."
    )
    access_token_seconds: int = Field(3600, ge=60, le=86400, description="Life of an access token.")
    refresh_token_seconds: int = Field(
        2592000, ge=3600, le=TEN_YEARS, description="Life of a refresh token that is not used."
    )
    session_max_seconds: int = Field(
        31536000,
        ge=3600,
        le=TEN_YEARS,
        description="Life of a session, however often it is refreshed.",
    )
    proof_required: Literal["sensitive", "always"] = Field(
        "sensitive",
        description="Which calls need a proof of possession (RFC 9449): those that change who "
        "may read, or all.",
    )
    registration_open: bool = Field(True, description="Whether unknown keys may open new accounts.")
    registration_pow_bits: Literal["auto"] | int = Field(
        0,
        description="Work that a new account costs its device, as leading zero bits of a SHA-256, "
        "0 to 24. `auto`: none while few accounts are made, then 17 to 22.",
    )
    rate_limits: Literal["on", "off"] = Field(
        "on",
        description="`off` takes any number of requests from anybody: for tests and benchmarks, "
        "refused in production.",
    )
    database_url: str = Field(
        "embedded:", description="`embedded:` keeps a SQLite file per user in `DATA_DIR`."
    )
    max_open_databases: int = Field(
        100, ge=1, le=10000, description="User databases held open at a time."
    )
    max_devices: int = Field(20, ge=1, le=60, description="Live devices of one account.")
    max_item_bytes: int = Field(
        MIB, ge=KIB, le=4 * MIB, description="Largest `encrypted_data` of one version."
    )
    max_push_bytes: int = Field(
        8 * MIB, ge=64 * KIB, le=64 * MIB, description="Largest body of one push, as sent."
    )
    max_push_changes: int = Field(500, ge=1, le=5000, description="Most changes in one push.")
    storage_limit_bytes: int = Field(
        1024 * MIB,
        ge=MIB,
        le=MAX_SAFE_INTEGER,
        description="Sealed bytes one account may hold; in production a new one begins with at "
        "most 64 MiB and grows daily, for 30 days.",
    )
    tombstone_days: int = Field(
        90,
        ge=90,
        le=3650,
        description="How long deletions are remembered at least; clients count on 90 days.",
    )
    device_idle_days: int = Field(
        180,
        ge=90,
        le=3650,
        description="After how many days of silence a device no longer keeps deletions from being "
        "forgotten.",
    )

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`TRUSTED_PROXIES`, parsed."""
        return tuple(ip_network(each) for each in self.trusted_proxies)

    @field_validator("cors_origins", "jwt_secret_previous", "trusted_proxies", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("public_origin")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        """Signatures hold it byte for byte, so it must be spelled as every client spells it."""
        if not value.startswith(("http://", "https://")) or _origin_of(value) != value:
            raise ValueError(
                "must be an origin such as https://sync.example: in lower case, without path, "
                "query, user, slash at the end or the port that goes without saying"
            )
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if any(value != "*" and _origin_of(value) != value for value in values):
            raise ValueError("must list origins such as https://app.example, without a path")
        return values

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for value in values:
                ip_network(value)
        except ValueError:  # its words repeat the value
            raise ValueError("must list addresses or networks such as 10.0.0.0/8") from None
        return values

    @field_validator("registration_pow_bits", mode="before")
    @classmethod
    def _is_auto_or_few_bits(cls, value: object) -> object:
        text = str(value).strip()
        if text == "auto":
            return text
        if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > MAX_POW_BITS:
            raise ValueError(f"must be auto or a whole number from 0 to {MAX_POW_BITS}")
        return int(text)

    @field_validator("jwt_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and _is_short(value):
            raise ValueError(f"must have at least {MIN_SECRET_BYTES} bytes")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_a_known_engine(cls, value: str) -> str:
        if value != "embedded:":
            raise ValueError("must be embedded: (the only engine of this version)")
        return value

    @model_validator(mode="after")
    def _is_fit_for_production(self) -> Self:
        if self.environment != "production":
            return self
        faults = {
            "JWT_SECRET must be set in production": self.jwt_secret is None
            or _is_weak(self.jwt_secret),
            # What still verifies must be as hard to guess as what signs.
            "JWT_SECRET_PREVIOUS must hold no weak secret in production": any(
                _is_weak(each) for each in self.jwt_secret_previous
            ),
            "RATE_LIMITS must be on in production": self.rate_limits != "on",
            "DEBUG must be off in production": self.debug,
            "CORS_ORIGINS must name its origins in production": "*" in self.cors_origins,
            "PUBLIC_ORIGIN must be https in production": not self.public_origin.startswith(
                "https://"
            ),
        }
        for sentence, at_fault in faults.items():
            if at_fault:
                raise ValueError(sentence)
        return self


def load_settings() -> Settings:
    """Read the environment and `.env`. Raises SettingsError, one sentence, naming the variable."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    except (OSError, UnicodeDecodeError):
        raise SettingsError("The file .env cannot be read as UTF-8 text.") from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    reason = re.sub(r"^Value error, ", "", first["msg"])
    if not first["loc"]:
        return f"{reason}."
    return f"{str(first['loc'][0]).upper()} is refused: {reason}."


def _is_short(secret: SecretStr) -> bool:
    return len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES


def _origin_of(value: str) -> str | None:
    """The ASCII serialisation of the value's origin (RFC 6454 section 6.2); None if it has none."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:  # its words repeat the value
        return None
    shown = f"[{host}]" if host and ":" in host else host
    if not shown or not _HOST.fullmatch(shown):
        return None
    is_default = port is None or DEFAULT_PORTS.get(parts.scheme) == port
    return f"{parts.scheme}://{shown}" + ("" if is_default else f":{port}")


def _is_weak(secret: SecretStr) -> bool:
    """Long is not enough: a repeated letter or word has no strength."""
    return _is_short(secret) or len(set(secret.get_secret_value())) < 10
