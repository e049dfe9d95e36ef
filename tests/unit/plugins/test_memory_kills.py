from __future__ import annotations

from pathlib import Path

import pytest

from gateway.plugins.memory_kills import Group, evidence

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("text", ["low 0\noom_kill 3\n", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"])
def test_kills_are_read_from_both_kinds_of_groups(tmp_path: Path, text: str) -> None:
    (tmp_path / "events").write_text(text)
    assert Group(tmp_path / "events").kills() == 3


def test_a_system_that_counts_nothing_has_no_kills(tmp_path: Path) -> None:
    assert Group(None).kills() == Group(tmp_path / "absent").kills() == 0


def test_a_kill_of_the_group_or_a_full_limit_is_evidence() -> None:
    assert "the kernel killed 1 process" in evidence(1, 2, 0, ())
    assert "950 MiB of its limit of 1000 MiB" in evidence(1, 1, 950 * 2**20, (0, 1000 * 2**20))
    assert evidence(1, 1, 900 * 2**20, (1000 * 2**20,)) == ""
