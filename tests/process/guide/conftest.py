"""Two connectors of one style: the guide's own, as it stands there, and one that lies in this repository."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.guide import page
from tests.support.guide.hosts import Hosts, serving
from tests.support.guide.my_platform import MyPlatform

OURS = Path(__file__).parents[3] / "examples" / "connectors" / "python" / "cirrus_connector.py"


@dataclass(frozen=True)
class Written:
    """A connector as its author saved it."""

    name: str
    host: str
    plugins: Path


@pytest.fixture(params=["guide", "ours"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Written:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    if request.param == "ours":
        (plugins / OURS.name).write_text(OURS.read_text())
        return Written("cirrus", "api.cirrus.example", plugins)
    (plugins / "my_platform_connector.py").write_text(page.block("Step 1: Create Connector File"))
    return Written("myplatform", "api.myplatform.com", plugins)


@pytest.fixture
def platform() -> MyPlatform:
    return MyPlatform()


@pytest.fixture
async def hosts(
    written: Written, platform: MyPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Hosts]:
    async with serving(platform.app(), written.host, tmp_path) as found:
        monkeypatch.setenv("SSL_CERT_FILE", str(found.certificates))
        yield found
