"""Reads a connector that is a single Python file, without running it: nothing in it can harm the gateway."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.plugins.manifest import ID_PATTERN
from gateway.plugins.spec import ConnectorSpec

SUFFIX = "_connector.py"
_BASE_NAME = "Connector"


def read_bare_file(path: Path) -> ConnectorSpec:
    """Describe the connector in a `*_connector.py`; one that cannot run carries its problem."""
    fallback = re.sub(r"[^a-z0-9_-]", "-", path.name.removesuffix(SUFFIX).lower()).strip("-_") or "connector"
    origin = str(path.resolve())
    try:
        words = _class_words(ast.parse(path.read_bytes(), filename=str(path)))
    except (OSError, SyntaxError, ValueError) as error:
        return ConnectorSpec(id=fallback, origin=origin, problem=f"{path} cannot be read: {error}")
    name = words.get("name", fallback)
    if not re.match(ID_PATTERN, name):
        problem = f"{path}: name: {name!r} must be lower-case letters, digits, - and _"
        return ConnectorSpec(id=fallback, origin=origin, problem=problem)
    return ConnectorSpec(
        id=name,
        display_name=words.get("display_name", ""),
        version=words.get("version", ""),
        origin=origin,
        command=(sys.executable, "-m", "connector_sdk", "serve", origin),
    )


def _class_words(module: ast.Module) -> dict[str, str]:
    """Return the text attributes of the connector's class: the first with a name, `…Connector`s before others."""
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    classes.sort(key=lambda node: not any(_last_name(base).endswith(_BASE_NAME) for base in node.bases))
    for node in classes:
        words = dict(_text_attributes(node))
        if "name" in words:
            return words
    return {}


def _text_attributes(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text))):
                yield name, text


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
