from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.plugins.manifest import read_manifest

pytestmark = pytest.mark.unit

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("kind", ["connectors", "clients"])
def test_a_lock_file_names_each_package_with_its_sum_and_no_registry(kind: str) -> None:
    lock = json.loads((EXAMPLES / kind / "node" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert "node_modules/@grpc/grpc-js" in packages
    assert [name for name, package in packages.items() if not package.get("integrity")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []


@pytest.mark.parametrize("language", ["node", "go"])
def test_a_manifest_names_its_language_and_the_programs_beside_it(language: str) -> None:
    spec = read_manifest(EXAMPLES / "connectors" / language / "connector.toml")
    assert spec.id == f"workbench-{language}"
    assert (Path(spec.command[-1]) / "train").is_file()
