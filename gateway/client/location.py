"""Where the gateway is, and the token that it wants.

Looked for in this order: explicit arguments, PEFTSTUDIO_ADDRESS and PEFTSTUDIO_TOKEN_FILE, then the files
`endpoint.json` and `token` that a running gateway keeps in its data directory (argument, PEFTSTUDIO_DATA_DIR, or the
user's own).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.client.errors import NoGatewayError

ADDRESS_VARIABLE = "PEFTSTUDIO_ADDRESS"
TOKEN_FILE_VARIABLE = "PEFTSTUDIO_TOKEN_FILE"
DATA_DIR_VARIABLE = "PEFTSTUDIO_DATA_DIR"
CA_FILE_VARIABLE = "PEFTSTUDIO_CA_FILE"

_LOOPBACK = ("127.", "localhost:", "[::1]:", "unix:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A gateway that can be called."""

    address: str
    """Target as gRPC spells it, e.g. `127.0.0.1:7717`."""
    token: str = field(default="", repr=False)
    """Empty = send none."""
    tls: bool = False
    ca_file: Path | None = None
    """Certificate authority that signed the gateway's certificate; None = the system's."""


def default_data_dir(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return the folder in which a gateway of this user keeps its data."""
    home = Path(environment.get("HOME") or Path.home())
    if platform == "darwin":
        return home / "Library" / "Application Support" / "peftstudio-connect"

    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "peftstudio-connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locator:
    """Finds the gateway, again whenever it is asked: a gateway that restarts may come up on another port."""

    address: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    data_dir: Path | None = None
    tls: bool | None = None
    """None = as the gateway's own file says, or as a given certificate authority implies."""
    ca_file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def locate(self) -> Location:
        """Return where the gateway is now.

        Raises:
            NoGatewayError: Nothing tells where it is, or a file that should tell cannot be read.
        """
        address = self.address or self.environment.get(ADDRESS_VARIABLE)
        return self._discovered() if not address else self._explicit(address)

    def _explicit(self, address: str) -> Location:
        ca_file = self._path(self.ca_file, CA_FILE_VARIABLE)
        tls = self.tls if self.tls is not None else ca_file is not None
        # The local gateway's token must not travel to a stranger because an address was set.
        is_local = address.startswith(_LOOPBACK)
        return Location(address=address, token=self._token(use_data_dir=is_local), tls=tls, ca_file=ca_file)

    def _discovered(self) -> Location:
        path = self._data_dir() / "endpoint.json"
        try:
            endpoint = json.loads(path.read_text(encoding="utf-8"))
            address, tls = str(endpoint["address"]), bool(endpoint.get("tls", False))
        except FileNotFoundError:
            raise NoGatewayError(
                f"no gateway is running here ({path} is missing); start one with `peftstudio serve`, "
                f"or set {ADDRESS_VARIABLE} (and {TOKEN_FILE_VARIABLE}) to use another"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoGatewayError(f"{path} cannot be read: {error}") from error

        ca_file = self._path(self.ca_file, CA_FILE_VARIABLE)
        return Location(
            address=address,
            token=self._token(use_data_dir=True),
            tls=tls if self.tls is None else self.tls,
            ca_file=ca_file,
        )

    def _token(self, *, use_data_dir: bool) -> str:
        if self.token is not None:
            return self.token

        path = self._path(self.token_file, TOKEN_FILE_VARIABLE)
        if path is not None:
            return _read_token(path)

        path = self._data_dir() / "token"
        return _read_token(path) if use_data_dir and path.exists() else ""

    def _data_dir(self) -> Path:
        return self._path(self.data_dir, DATA_DIR_VARIABLE) or default_data_dir(self.environment)

    def _path(self, given: Path | None, variable: str) -> Path | None:
        named = self.environment.get(variable)
        return given or (Path(named).expanduser() if named else None)


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoGatewayError(f"the gateway's token cannot be read: {error}") from error
