"""Go modules out of Debian's packages: `go mod tidy` finds them in a folder, and nothing is downloaded."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path("/usr/share/gocode/src")
"""Where Debian keeps the sources of its Go packages."""
MODULES = (
    "github.com/golang/protobuf",
    "golang.org/x/net",
    "golang.org/x/sys",
    "golang.org/x/text",
    "google.golang.org/genproto",
    "google.golang.org/grpc",
    "google.golang.org/protobuf",
)
"""What a connector needs, with what that needs."""


def missing_modules() -> list[str]:
    """Name the modules that are not there."""
    return [module for module in MODULES if not (SOURCES / module).is_dir()]


def modules_environment(folder: Path) -> dict[str, str]:
    """Make the modules in a folder, and give what has `go` take them from there."""
    for module in MODULES:
        _publish(module, folder / "proxy")
    return {
        **os.environ,
        "GOPROXY": (folder / "proxy").as_uri(),
        "GOMODCACHE": str(folder / "cache"),
        "GOFLAGS": "-modcacherw",
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
    }


def _publish(module: str, proxy: Path) -> None:
    files = dict(_files(module))
    # Other sources are another version: what `go` has in its cache is never stale.
    version = f"v1.0.{zlib.crc32(repr([(name, path.stat().st_size) for name, path in files.items()]).encode())}"
    place = proxy / module / "@v"
    if (place / "list").exists() and version in (place / "list").read_text():
        return
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{version}.info").write_text(json.dumps({"Version": version, "Time": "2024-01-01T00:00:00Z"}))
    (place / f"{version}.mod").write_text(f"module {module}\n\ngo 1.19\n")
    with zipfile.ZipFile(place / f"{version}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in files.items():
            archive.write(path, f"{module}@{version}/{name}")
    (place / "list").write_text(f"{version}\n")


def _files(module: str) -> Iterator[tuple[str, Path]]:
    """Give a module's code without its tests, which need more than Debian has."""
    root = SOURCES / module
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix in {".go", ".s", ".h"} and not path.name.endswith("_test.go"):
            yield str(path.relative_to(root)), path
