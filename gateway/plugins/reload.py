"""Which connectors are others now than those that are known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gateway.plugins.spec import ConnectorSpec


def changed_specs(
    known: Mapping[str, ConnectorSpec], found: Iterable[ConnectorSpec], changed: Collection[Path]
) -> Iterator[ConnectorSpec]:
    """Yield what came, what differs or has a changed file, and what is gone, which then has a problem.

    Args:
        known: The connectors as they are, by id.
        found: The connectors as they are found now.
        changed: Files that came, went or changed.

    """
    present = {spec.id: spec for spec in found}
    for spec in present.values():
        if spec != known.get(spec.id) or _has_one_of(spec, changed):
            yield spec
    for spec in known.values():
        gone = replace(spec, problem=f"its files are gone: {spec.origin}")
        if spec.id not in present and spec != gone:
            yield gone


def _has_one_of(spec: ConnectorSpec, changed: Collection[Path]) -> bool:
    origin = Path(spec.origin).resolve()
    return any(path.resolve().is_relative_to(origin) for path in changed)
