"""Reads `config/connectors.json`, in which the gateway's owner says what connectors may do.

It is JSON, and lines that begin with `//` are comments. Keys that are not known are reported and otherwise ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from gateway.errors import GatewayError, Reason
from gateway.plugins.elsewhere import Elsewhere
from gateway.plugins.spec import Integrity, Settings


class BrokenSettings(GatewayError):
    """Raised when the file cannot be used; says where in it and what to do."""

    reason = Reason.INVALID_CONFIG


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class _RateLimits(_Lenient):
    requests_per_minute: int = Field(default=0, ge=0)
    concurrent_jobs: int = Field(default=0, ge=0)


class _Tls(_Lenient):
    ca: Path | None = Field(default=None, strict=False)
    certificate: Path | None = Field(default=None, strict=False)
    key: Path | None = Field(default=None, strict=False)
    server_name: str = ""


class _Entry(_Lenient):
    enabled: bool = True
    credentials_required: list[str] = Field(default_factory=list)
    features: list[str] = Field(default_factory=list)
    documentation_url: str = ""
    integrity: Integrity | None = Field(default=None, strict=False)
    attach: bool = False
    address: str = ""
    token_file: Path | None = Field(default=None, strict=False)
    tls: _Tls = _Tls()
    rate_limits: _RateLimits = _RateLimits()


class _File(RootModel[dict[str, _Entry]]):
    pass


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """The settings by connector, and what is odd about them."""

    path: Path
    by_id: Mapping[str, Settings]
    warnings: tuple[str, ...] = ()


def read_settings(path: Path) -> ReadSettings:
    """Read the file; one that is not there says nothing.

    Raises:
        BrokenSettings: It is not JSON or has values that cannot be used.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ReadSettings(path, {})
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenSettings(f"{path} cannot be read: {error}") from error
    entries = _parse(path, text)
    warnings = tuple(f"{path}: {where} is not known and was ignored" for where in _unknown(entries))
    return ReadSettings(path, {key: _settings(entry) for key, entry in entries.items()}, warnings)


def _parse(path: Path, text: str) -> dict[str, _Entry]:
    # Comments become empty lines, so that an error's line is the file's.
    plain = "\n".join("" if line.lstrip().startswith("//") else line for line in text.splitlines())
    try:
        return _File.model_validate(json.loads(plain)).root
    except json.JSONDecodeError as error:
        raise BrokenSettings(
            f"{path}, line {error.lineno}, column {error.colno}: {error.msg}; correct the file and start again"
        ) from error
    except ValidationError as error:
        found = error.errors()[0]
        keys = [str(part) for part in found["loc"]]
        where = f"{path}, line {_line_of(plain, keys)}: {'.'.join(keys) or 'the file'}"
        raise BrokenSettings(f"{where}: {found['msg']}; correct it and start again") from error


def _line_of(text: str, keys: list[str]) -> int:
    """Find the line of a nested key, by looking for each key behind the one that it is in."""
    position = 0
    for key in keys:
        found = text.find(json.dumps(key), position)
        position = position if found < 0 else found
    return text.count("\n", 0, position) + 1


def _unknown(entries: Mapping[str, _Entry]) -> list[str]:
    found = []
    for key, entry in entries.items():
        found += [f"{key}.{name}" for name in entry.model_extra or ()]
        found += [f"{key}.rate_limits.{name}" for name in entry.rate_limits.model_extra or ()]
        found += [f"{key}.tls.{name}" for name in entry.tls.model_extra or ()]
    return found


def _settings(entry: _Entry) -> Settings:
    return Settings(
        enabled=entry.enabled,
        credentials_required=tuple(entry.credentials_required),
        features=tuple(entry.features),
        documentation_url=entry.documentation_url,
        integrity=entry.integrity,
        attach=entry.attach,
        elsewhere=_elsewhere(entry),
        requests_per_minute=entry.rate_limits.requests_per_minute,
        concurrent_jobs=entry.rate_limits.concurrent_jobs,
    )


def _elsewhere(entry: _Entry) -> Elsewhere | None:
    if not entry.address:
        return None
    return Elsewhere(
        address=entry.address,
        # A path that is no file is told like any other file that cannot be read.
        token_file=entry.token_file or Path("token_file is missing"),
        ca=entry.tls.ca,
        certificate=entry.tls.certificate,
        key=entry.tls.key,
        server_name=entry.tls.server_name,
    )
