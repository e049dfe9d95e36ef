"""Where control groups may be made, on systems of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.plugins.fences import Fences, find_fences

pytestmark = pytest.mark.unit


def system(tmp_path: Path, own: str, **files: str) -> tuple[Path, Path]:
    """Imitate /sys/fs/cgroup and /proc/self/cgroup."""
    root = tmp_path / "cgroup"
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "own").write_text(own)
    return root, tmp_path / "own"


def test_a_delegated_group_is_used(tmp_path: Path) -> None:
    root, own = system(tmp_path, "0::/a.service\n", a_dot_service__cgroup_dot_subtree_control="cpu memory")
    fences = find_fences("g", root, own)
    assert fences.parent == root / "a.service"
    fence = fences.make("lab", 3, 1000)
    assert fence is not None
    assert fence.folder.name == "peft-g-lab-3"
    assert (fence.folder / "memory.max").read_text() == "1000"
    assert (fence.folder / "memory.oom.group").read_text() == "1"
    assert fence.entrance == fence.folder / "cgroup.procs"


@pytest.mark.parametrize("handed_on", ["", "cpu pids"])
def test_a_group_that_hands_no_memory_on_is_not_used(tmp_path: Path, handed_on: str) -> None:
    root, own = system(tmp_path, "0::/a\n", a__cgroup_dot_subtree_control=handed_on)
    assert find_fences("g", root, own) == Fences(None)


def test_the_older_hierarchy_is_used_where_it_can_be_written(tmp_path: Path) -> None:
    root, own = system(tmp_path, "4:memory:/b\n0::/\n", memory__b__memory_dot_limit_in_bytes="9")
    fence = find_fences("g", root, own).make("lab", 1, 77)
    assert fence is not None
    assert (root / "memory" / "b" / "peft-g-lab-1" / "memory.limit_in_bytes").read_text() == "77"


def test_a_system_without_groups_has_no_fences(tmp_path: Path) -> None:
    assert find_fences("g", tmp_path, tmp_path / "absent").make("lab", 1, 77) is None


def test_only_what_is_this_gateways_and_empty_is_swept(tmp_path: Path) -> None:
    fences = Fences(tmp_path, name="g")
    for folder in ("peft-g-lab-1", "peft-other-lab-1", "peft-g-lab-2/inner"):
        (tmp_path / folder).mkdir(parents=True)
    fences.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["peft-g-lab-2", "peft-other-lab-1"]
