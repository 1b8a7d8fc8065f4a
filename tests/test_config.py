"""Settings: what they are by default, what is refused, and that no value is ever repeated."""

from pathlib import Path
from typing import Any

import pytest

from app.config import MIB, Settings, SettingsError, load_settings

STRONG = "k7Jw2vQx9Lm4Rt8Zp1Ns6Yb3Hd5Gf0Ca"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "JWT_SECRET": STRONG,
    "PUBLIC_ORIGIN": "https://sync.example",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env`, and an environment without settings of ours."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


class Load:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, **environment: str) -> Settings:
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)
        return load_settings()

    def refusal(self, **environment: str) -> str:
        with pytest.raises(SettingsError) as refused:
            self(**environment)
        assert refused.value.__suppress_context__, "its cause would repeat the value"
        return str(refused.value)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    return Load(monkeypatch)


DEFAULTS: dict[str, Any] = {
    "environment": "development",
    "debug": False,
    "data_dir": Path("data"),
    "public_origin": "http://localhost:8000",
    "cors_origins": (),
    "trusted_proxies": (),
    "log_level": "info",
    "jwt_secret": None,
    "jwt_secret_previous": (),
    "access_token_seconds": 3600,
    "refresh_token_seconds": 2592000,
    "session_max_seconds": 31536000,
    "proof_required": "sensitive",
    "registration_open": True,
    "registration_pow_bits": 0,
    "rate_limits": "on",
    "database_url": "embedded:",
    "max_open_databases": 100,
    "max_devices": 20,
    "max_item_bytes": MIB,
    "max_push_bytes": 8 * MIB,
    "max_push_changes": 500,
    "storage_limit_bytes": 1024 * MIB,
    "tombstone_days": 90,
    "device_idle_days": 180,
}


def test_with_nothing_set_every_setting_has_its_documented_default(load: Load) -> None:
    assert load().model_dump() == DEFAULTS


def test_an_empty_variable_is_as_good_as_none(load: Load) -> None:
    assert load(**{name.upper(): "" for name in DEFAULTS}).model_dump() == DEFAULTS


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ACCESS_TOKEN_SECONDS", 60, 86400),
        ("REFRESH_TOKEN_SECONDS", 3600, 315360000),
        ("SESSION_MAX_SECONDS", 3600, 315360000),
        ("MAX_OPEN_DATABASES", 1, 10000),
        ("MAX_DEVICES", 1, 60),
        ("MAX_ITEM_BYTES", 1024, 4 * MIB),
        ("MAX_PUSH_BYTES", 64 * 1024, 64 * MIB),
        ("MAX_PUSH_CHANGES", 1, 5000),
        ("STORAGE_LIMIT_BYTES", MIB, 2**53 - 1),
    ],
)
def test_numbers_are_taken_within_their_bounds_alone(
    load: Load, name: str, least: int, most: int
) -> None:
    assert getattr(load(**{name: str(least)}), name.lower()) == least
    assert getattr(load(**{name: str(most)}), name.lower()) == most
    for wrong in (least - 1, most + 1, -1, 10**30, "many", "1.5", "1e3", "0x10"):
        said = load.refusal(**{name: str(wrong)})
        assert said.startswith(f"{name} is refused: ")


CANARY = "canary\N{ACCOUNT OF}c0ffee254729296a"

WRONG = [
    ("ENVIRONMENT", CANARY),
    ("ENVIRONMENT", "Production"),
    ("DEBUG", CANARY),
    ("LOG_LEVEL", CANARY),
    ("PUBLIC_ORIGIN", CANARY),
    ("PUBLIC_ORIGIN", f"ftp://{CANARY}"),
    ("PUBLIC_ORIGIN", f"https://{CANARY}.example"),
    ("PUBLIC_ORIGIN", f"https://sync.example/{CANARY}"),
    ("PUBLIC_ORIGIN", f"https://sync.example?{CANARY}"),
    ("PUBLIC_ORIGIN", f"https://sync.example#{CANARY}"),
    ("PUBLIC_ORIGIN", f"https://{CANARY}@sync.example"),
    ("PUBLIC_ORIGIN", f"https://sync.example:{CANARY}"),
    ("PUBLIC_ORIGIN", f"https://[{CANARY}"),
    ("PUBLIC_ORIGIN", "https://sync.example/"),
    ("PUBLIC_ORIGIN", "https://sync.example?"),
    ("PUBLIC_ORIGIN", "https://sync.example#"),
    ("PUBLIC_ORIGIN", "https://sync.example:443"),
    ("PUBLIC_ORIGIN", "https://sync.example:"),
    ("PUBLIC_ORIGIN", "https://Sync.example"),
    ("PUBLIC_ORIGIN", "HTTPS://sync.example"),
    ("PUBLIC_ORIGIN", "https://sync.example:99999"),
    ("PUBLIC_ORIGIN", "https://sync.exa mple "),
    ("PUBLIC_ORIGIN", "https://sync.\nexample"),
    ("CORS_ORIGINS", CANARY),
    ("CORS_ORIGINS", f"https://app.example,https://app.example/{CANARY}"),
    ("CORS_ORIGINS", "https://app.example/"),
    ("TRUSTED_PROXIES", CANARY),
    ("TRUSTED_PROXIES", f"10.0.0.1,{CANARY}"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("TRUSTED_PROXIES", "10.0.0.0/33"),
    ("TRUSTED_PROXIES", "*"),
    ("REGISTRATION_POW_BITS", CANARY),
    ("REGISTRATION_POW_BITS", "25"),
    ("REGISTRATION_POW_BITS", "-1"),
    ("REGISTRATION_POW_BITS", "1.5"),
    ("RATE_LIMITS", CANARY),
    ("JWT_SECRET", CANARY),
    ("JWT_SECRET", "x" * 31),
    ("PROOF_REQUIRED", CANARY),
    ("REGISTRATION_OPEN", CANARY),
    ("DATABASE_URL", f"libsql://{CANARY}"),
    ("DATABASE_URL", "embedded"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{n}={v!r}"[:50] for n, v in WRONG])
def test_a_wrong_value_is_refused_in_one_sentence_that_names_only_the_variable(
    load: Load, name: str, value: str
) -> None:
    said = load.refusal(**{name: value})
    assert said.startswith(f"{name} is refused: ")
    assert said.endswith(".")
    assert "\n" not in said
    assert "canary" not in said
    assert "c0ffee" not in said


@pytest.mark.parametrize(
    "origin",
    ["https://sync.example", "http://localhost:8000", "http://127.0.0.1", "http://[::1]:8123",
     "https://xn--bcher-kva.example", "https://sync.example:8443", "http://a.b.c:443"],
)  # fmt: skip
def test_an_origin_as_every_client_spells_it_is_taken(load: Load, origin: str) -> None:
    assert load(PUBLIC_ORIGIN=origin).public_origin == origin


def test_lists_are_separated_by_commas(load: Load) -> None:
    found = load(
        CORS_ORIGINS=" https://app.example , tauri://localhost,,http://localhost:5173",
        JWT_SECRET_PREVIOUS=f"{STRONG}, {STRONG}2",
    )
    assert found.cors_origins == (
        "https://app.example",
        "tauri://localhost",
        "http://localhost:5173",
    )
    earlier = [secret.get_secret_value() for secret in found.jwt_secret_previous]
    assert earlier == [STRONG, f"{STRONG}2"]


def test_production_starts_with_what_it_needs(load: Load) -> None:
    assert load(**PRODUCTION).environment == "production"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"JWT_SECRET": ""}, "JWT_SECRET must be set in production."),
        ({"JWT_SECRET": "ab" * 32}, "JWT_SECRET must be set in production."),
        ({"JWT_SECRET_PREVIOUS": "old"}, "JWT_SECRET_PREVIOUS must hold no weak secret"),
        ({"RATE_LIMITS": "off"}, "RATE_LIMITS must be on in production."),
        ({"DEBUG": "true"}, "DEBUG must be off in production."),
        ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS must name its origins in production."),
        ({"CORS_ORIGINS": "https://a.example,*"}, "CORS_ORIGINS must name its origins"),
        ({"PUBLIC_ORIGIN": "http://sync.example"}, "PUBLIC_ORIGIN must be https in production."),
        ({"PUBLIC_ORIGIN": ""}, "PUBLIC_ORIGIN must be https in production."),
    ],
)
def test_production_refuses_what_is_not_fit_for_it(
    load: Load, change: dict[str, str], sentence: str
) -> None:
    assert load.refusal(**(PRODUCTION | change)).startswith(sentence)


def test_secrets_do_not_show_when_settings_are_printed(load: Load) -> None:
    found = load(**PRODUCTION, JWT_SECRET_PREVIOUS=f"{STRONG}2")
    assert STRONG not in repr(found) + str(found) + str(found.model_dump())


def test_settings_cannot_be_changed(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().debug = True  # type: ignore[misc]


def test_the_environment_goes_before_the_file(load: Load) -> None:
    Path(".env").write_text("MAX_DEVICES=7\nLOG_LEVEL=error\nSOMETHING_ELSE=1\n")
    found = load(MAX_DEVICES="9")
    assert (found.max_devices, found.log_level) == (9, "error")


def test_a_file_that_is_no_text_is_refused_without_its_words(load: Load) -> None:
    Path(".env").write_bytes(b"JWT_SECRET=canary\xff\xfe\n")
    assert load.refusal() == "The file .env cannot be read as UTF-8 text."


def test_proxies_are_addresses_and_networks_of_both_kinds(load: Load) -> None:
    found = load(TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8,::1 ,fd00::/8")
    told = [str(network) for network in found.trusted_networks]
    assert told == ["127.0.0.1/32", "10.0.0.0/8", "::1/128", "fd00::/8"]


@pytest.mark.parametrize(("said", "bits"), [("0", 0), ("24", 24), ("auto", "auto"), (" 17 ", 17)])
def test_work_is_a_number_of_bits_or_left_to_the_load(
    load: Load, said: str, bits: int | str
) -> None:
    assert load(REGISTRATION_POW_BITS=said).registration_pow_bits == bits
