"""Reads `connector.toml`, which says how a connector's program is started.

id = "acme"                                     # lower-case letters, digits, - and _
name = "Acme Cloud"
version = "1.0.0"
command = ["{python}", "{dir}/connector.py"]    # {python} = the gateway's interpreter, {dir} = this file's folder
protocol = 1

[env]
allow = ["ACME_REGION"]                         # variables of the gateway that the program may see

[limits]                                        # docs/operations.md has all; in seconds
start_timeout = 60
probe_interval = 10
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.plugins.handshake import PROTOCOLS
from gateway.plugins.overrides import Overrides
from gateway.plugins.spec import ConnectorSpec

FILE_NAME = "connector.toml"
ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class BrokenManifest(ValueError):
    """Raised when a manifest cannot be used; says in which file, at which key, and what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Env(_Strict):
    allow: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...] = ()


class Manifest(_Strict):
    """The content of a `connector.toml`."""

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    name: str = ""
    version: str = ""
    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    protocol: int = PROTOCOLS[-1]
    env: _Env = _Env()
    limits: Overrides = Overrides()


def read_manifest(path: Path) -> ConnectorSpec:
    """Read one manifest.

    Raises:
        BrokenManifest: It cannot be read or understood.

    """
    try:
        manifest = Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BrokenManifest(f"{path}: {error}") from error
    except ValidationError as error:
        raise BrokenManifest(f"{path}: {_describe(error)}") from error
    if manifest.protocol not in PROTOCOLS:
        raise BrokenManifest(
            f"{path}: protocol: {manifest.protocol} is not spoken by this gateway, which has {PROTOCOLS}"
        )
    return _spec(manifest, path)


def _spec(manifest: Manifest, path: Path) -> ConnectorSpec:
    folder = str(path.parent.resolve())
    command = tuple(part.replace("{python}", sys.executable).replace("{dir}", folder) for part in manifest.command)
    return ConnectorSpec(
        id=manifest.id,
        display_name=manifest.name,
        version=manifest.version,
        origin=folder,
        command=command,
        env_allow=manifest.env.allow,
        overrides=manifest.limits,
    )


def _describe(error: ValidationError) -> str:
    found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return "; ".join(found)
