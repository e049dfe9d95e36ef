"""Finds connectors without importing or running any of their code.

In this order, and the first of an id wins: the connectors that come with the gateway, each folder that its owner names,
`<data dir>/connectors`, and installed packages with an entry point in the group `peftstudio.connectors`. A folder has
connectors as subfolders with a `connector.toml` and as files `*_connector.py`; where it has a `connector.toml` itself,
such files are a part of that connector. What is broken is found too, with its problem, and harms no other.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.plugins.bare_file import SUFFIX, read_bare_file
from gateway.plugins.manifest import FILE_NAME, ID_PATTERN, BrokenManifest, read_manifest
from gateway.plugins.settings import ReadSettings, read_settings
from gateway.plugins.spec import ConnectorSpec, Discovery

ENTRY_POINT_GROUP = "peftstudio.connectors"
_BUILT_IN_PACKAGE = "connectors"


@dataclass(frozen=True, slots=True)
class Finder:
    """Looks for connectors in given places."""

    roots: Sequence[Path]
    settings_path: Path
    has_entry_points: bool = True

    @classmethod
    def standard(cls, data_dir: Path, extra: Sequence[Path], settings_path: Path) -> Finder:
        """Look in the usual places and in `extra` folders."""
        return cls((*built_in_roots(), *extra, data_dir / "connectors"), settings_path)

    def find(self) -> Discovery:
        """Look into every place.

        Raises:
            BrokenSettings: The owner's settings cannot be used.

        """
        settings = read_settings(self.settings_path)
        found, warnings = _first_of_each_id((*_elsewhere(settings), *self._all()))
        return Discovery(
            tuple(_with_settings(spec, settings) for spec in found),
            (*settings.warnings, *warnings, *_without_connector(settings, found)),
        )

    def _all(self) -> Iterator[ConnectorSpec]:
        for root in self.roots:
            yield from _in_root(root)
        if self.has_entry_points:
            yield from _in_packages(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))


def built_in_roots() -> tuple[Path, ...]:
    """Return the folder of the connectors that come with the gateway."""
    # Of a top-level package this imports nothing.
    spec = importlib.util.find_spec(_BUILT_IN_PACKAGE)
    return tuple(Path(place) for place in (spec.submodule_search_locations or ())) if spec else ()


def _in_root(root: Path) -> Iterator[ConnectorSpec]:
    if is_connector := (root / FILE_NAME).is_file():
        yield _manifest_or_problem(root / FILE_NAME)
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if (path / FILE_NAME).is_file():
            yield _manifest_or_problem(path / FILE_NAME)
        elif path.name.endswith(SUFFIX) and path.is_file() and not is_connector:
            yield read_bare_file(path)


def _manifest_or_problem(path: Path) -> ConnectorSpec:
    try:
        return read_manifest(path)
    except BrokenManifest as error:
        folder = path.parent.resolve()
        return ConnectorSpec(id=_id_of(folder.name), origin=str(folder), problem=str(error))


def _in_packages(points: Iterable[importlib.metadata.EntryPoint]) -> Iterator[ConnectorSpec]:
    for point in sorted(points, key=lambda point: point.name):
        package = point.dist.name if point.dist else point.module
        version = point.dist.version if point.dist else ""
        is_usable = re.match(ID_PATTERN, point.name) is not None
        yield ConnectorSpec(
            id=_id_of(point.name),
            version=version,
            origin=f"package {package} {version}".strip(),
            command=(sys.executable, "-m", "connector_sdk", "serve", point.value),
            problem=""
            if is_usable
            else f"entry point {point.name!r}: only lower-case letters, digits, - and _ can be used",
        )


def _elsewhere(settings: ReadSettings) -> Iterator[ConnectorSpec]:
    """Describe the connectors that the owner's settings alone name, as somebody else runs them."""
    for key, one in settings.by_id.items():
        if one.elsewhere is not None:
            problem = "attach and address exclude each other" if one.attach else one.elsewhere.check()
            is_usable = re.match(ID_PATTERN, key) is not None
            yield ConnectorSpec(
                id=_id_of(key),
                origin=one.elsewhere.address,
                problem=f"{settings.path}: {key}: {problem}"
                if problem
                else ""
                if is_usable
                else f"{settings.path}: {key!r}: only lower-case letters, digits, - and _ can be used",
            )


def _id_of(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", name.lower()).strip("-_")[:63] or "connector"


def _first_of_each_id(specs: Iterable[ConnectorSpec]) -> tuple[list[ConnectorSpec], list[str]]:
    found: dict[str, ConnectorSpec] = {}
    warnings: list[str] = []
    for spec in specs:
        first = found.setdefault(spec.id, spec)
        if first is not spec and first.origin != spec.origin:
            warnings.append(f"connector {spec.id!r} of {spec.origin} is not used: {first.origin} has the same id")
    return list(found.values()), warnings


def _with_settings(spec: ConnectorSpec, settings: ReadSettings) -> ConnectorSpec:
    return replace(spec, settings=settings.by_id.get(spec.id, spec.settings))


def _without_connector(settings: ReadSettings, specs: Iterable[ConnectorSpec]) -> list[str]:
    known = {spec.id for spec in specs}
    return [f"the settings name a connector {key!r} that was not found" for key in settings.by_id if key not in known]
