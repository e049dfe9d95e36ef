"""Find the connector class that a file or module has, and say clearly what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
from pathlib import Path
from types import ModuleType

from connector_sdk._start import StartError
from connector_sdk.connector import REQUIRED_METHODS, PlatformConnector

logger = logging.getLogger(__name__)

INTERFACE = "connectors.base"
"""The module that the guide's connectors import from."""


def load(target: str) -> type[PlatformConnector]:
    """Load `FILE.py`, `FILE.py:Class`, `module` or `module:Class`; raises `StartError` with what to do."""
    return complete(find(target), _split(target)[0])


def find(target: str) -> type[PlatformConnector]:
    """Load a class as `load` does, also one that lacks methods, as while it is written."""
    place, class_name = _split(target)
    provide_interface()
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:
        logger.exception("connector cannot be imported")
        raise StartError(
            f"{place} cannot be imported ({type(error).__name__}: {error}): correct it, or install what it needs."
        ) from error
    return _chosen(module, class_name, place)


def complete(connector_class: type[PlatformConnector], place: str) -> type[PlatformConnector]:
    """Return the class if it has all the methods that the guide requires, or name those that it lacks."""
    missing = [name for name in REQUIRED_METHODS if getattr(connector_class, name) is getattr(PlatformConnector, name)]
    if missing:
        wanted = ", ".join(f"{name}({', '.join(_parameters(name))})" for name in missing)
        raise StartError(f"{place}: {connector_class.__name__} lacks {', '.join(missing)}; add {wanted}.")
    return connector_class


def _parameters(method: str) -> list[str]:
    return list(inspect.signature(getattr(PlatformConnector, method)).parameters)


def _split(target: str) -> tuple[str, str]:
    place, colon, class_name = target.rpartition(":")
    return (place, class_name) if colon and class_name.isidentifier() else (target, "")


def provide_interface() -> None:
    """Import the guide's module before the author's file can change the path by which it would be found."""
    home = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, home)
    try:
        importlib.import_module(INTERFACE)
    finally:
        sys.path.remove(home)


def _from_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    # At the end: a neighbour of the file must not hide an installed package.
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _chosen(module: ModuleType, class_name: str, place: str) -> type[PlatformConnector]:
    if class_name:
        named = getattr(module, class_name, None)
        if not (isinstance(named, type) and issubclass(named, PlatformConnector)):
            raise StartError(f"{place} has no class {class_name} that derives from PlatformConnector.")
        return named
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, PlatformConnector) and item.__module__ == module.__name__
    ]
    last = [one for one in found if not any(other is not one and issubclass(other, one) for other in found)]
    if len(last) != 1:
        names = ", ".join(sorted(one.__name__ for one in last)) or "none"
        raise StartError(f"{place} must have one class that derives from PlatformConnector, and has {names}.")
    return last[0]
