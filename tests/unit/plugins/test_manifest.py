from __future__ import annotations

import sys
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.plugins.limits import Limits
from gateway.plugins.manifest import BrokenManifest, read_manifest
from gateway.plugins.overrides import Overrides

pytestmark = pytest.mark.unit


def write(folder: Path, text: str) -> Path:
    path = folder / "connector.toml"
    path.write_text(text)
    return path


def test_a_manifest_says_how_to_start_the_program(tmp_path: Path) -> None:
    spec = read_manifest(
        write(
            tmp_path,
            'id = "acme"\nname = "Acme"\nversion = "1.0"\ncommand = ["{python}", "{dir}/main.py", "--fast"]\n'
            'protocol = 1\n[env]\nallow = ["ACME_REGION"]\n[limits]\nstart_timeout = 60\nprobe_interval = 10\n',
        )
    )
    assert spec.command == (sys.executable, f"{tmp_path}/main.py", "--fast")
    assert (spec.id, spec.display_name, spec.version, spec.origin) == ("acme", "Acme", "1.0", str(tmp_path))
    assert spec.env_allow == ("ACME_REGION",)
    limits = spec.overrides.apply(Limits())
    assert (limits.start, limits.probe_interval) == (timedelta(seconds=60), timedelta(seconds=10))


def test_limits_that_are_not_named_stay_as_they_are() -> None:
    assert Overrides().apply(Limits()) == Limits()


def test_every_limit_can_be_changed(tmp_path: Path) -> None:
    others = {"host_loss": "linger", "start_timeout": 6, "idle_stop": 11}
    values = {name: others.get(name, 10) for name in Overrides.model_fields}
    changed, plain = Overrides.model_validate(values).apply(Limits()), Limits()
    same = [f.name for f in fields(Limits) if getattr(changed, f.name) == getattr(plain, f.name)]
    assert same == ["verify", "queue", "handshake", "stacks", "drain", "lifeline", "last_words", "autopsy"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('command = ["x"]', "id"),
        ('id = "Not Good"\ncommand = ["x"]', "id"),
        ('id = "a"', "command"),
        ('id = "a"\ncommand = []', "command"),
        ('id = "a"\ncommand = "rm -rf /"', "command"),
        ('id = "a"\ncommand = ["x"]\ncomand = 1', "comand"),
        ('id = "a"\ncommand = ["x"]\nprotocol = 9', "protocol"),
        ('id = "a"\ncommand = ["x"]\n[env]\nallow = ["A B"]', "env.allow.0"),
        ('id = "a"\ncommand = ["x"]\n[limits]\nstart_timeout = 1', "limits.start_timeout"),
        ('id = "a"\ncommand = ["x"]\n[limits]\nbusy_hold = 601', "limits.busy_hold"),
        ('id = "a"\ncommand = ["x"]\n[limits]\nhost_loss = "stay"', "limits.host_loss"),
        ('id = "a"\ncommand = ["x"]\n[limits]\nidle_stop = 5', "limits"),
        ('id = "a"\ncommand = ["x"]\n[limits]\ndrain = 100\nterminate = 60', "limits"),
    ],
)
def test_a_broken_manifest_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BrokenManifest) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert f" {key}: " in str(caught.value)


def test_a_manifest_that_is_no_toml_names_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'id = "a"\ncommand = [')
    with pytest.raises(BrokenManifest, match=r"connector\.toml: .*(line 2|end of document)"):
        read_manifest(path)
