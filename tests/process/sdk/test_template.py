"""The process from which connectors are forked, spoken to as a gateway speaks to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="connectors are forked on Linux alone"),
]

COMMAND = (sys.executable, "-m", "connector_sdk", "template")
WITH_A_THREAD = """
import runpy, sys, threading, time
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
sys.argv = ["connector_sdk", "template"]
runpy.run_module("connector_sdk", run_name="__main__", alter_sys=True)
"""
WAIT_SECONDS = 30.0


class Template:
    """A template and the gateway's end of its socket."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.process = process
        self.control = control

    def answer(self) -> dict[str, object]:
        answer: dict[str, object] = json.loads(self.control.recv(4096))
        return answer

    def ask(self, **request: object) -> dict[str, object]:
        self.control.send(json.dumps(request).encode())
        return self.answer()

    def fork(self, folder: Path, ends: list[int], **order: object) -> dict[str, object]:
        order = {"name": "peft-x", "arguments": ["serve", "x.py"], "environment": {}, "work_dir": str(folder), **order}
        with os.fdopen(os.memfd_create("order"), "w+b", buffering=0) as file:
            file.write(json.dumps(order).encode())
            file.seek(0)
            socket.send_fds(self.control, [b'{"fork": true}'], [*ends, file.fileno()])
            return self.answer()


@contextmanager
def template(*command: str) -> Iterator[Template]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(WAIT_SECONDS)
    with ours, theirs:
        process = subprocess.Popen(command or COMMAND, stdin=theirs.fileno())
        theirs.close()
        try:
            yield Template(process, ours)
        finally:
            ours.close()
            assert process.wait(WAIT_SECONDS) == 0


@contextmanager
def ends() -> Iterator[tuple[list[int], list[int]]]:
    """Give the process's ends of its pipes, and those of their other sides."""
    pairs = [os.pipe() for _ in range(4)]
    theirs = [pairs[0][0], *(pair[1] for pair in pairs[1:])]
    ours = [pairs[0][1], *(pair[0] for pair in pairs[1:])]
    yield theirs, ours
    for end in (*theirs, *ours):
        os.close(end)


def test_a_template_that_is_started_by_hand_says_so() -> None:
    ended = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, timeout=WAIT_SECONDS, check=False)
    assert (ended.returncode, ended.stderr) == (
        1,
        b"A template is started by the gateway, on Linux, and not by hand.\n",
    )


def test_a_process_is_forked_and_tells_its_end_once_it_is_asked(tmp_path: Path) -> None:
    with template() as one, ends() as (theirs, ours):
        assert one.answer() == {"template": 1}
        pid = one.fork(tmp_path, theirs)["pid"]
        assert isinstance(pid, int)
        os.write(ours[0], b"no bootstrap\n")
        assert b"cannot be read" in os.read(ours[3], 4096)
        assert one.ask(reap=pid) == {"status": 78}
        assert one.ask(reap=pid) == {"status": None}


def test_a_template_that_is_signalled_with_its_whole_service_goes_on() -> None:
    with template() as one:
        one.answer()
        one.process.terminate()
        assert one.ask(reap=1) == {"status": None}


def test_a_template_with_threads_forks_nothing(tmp_path: Path) -> None:
    with template(sys.executable, "-c", WITH_A_THREAD) as one, ends() as (theirs, _):
        assert one.answer() == {"template": 1}
        assert one.fork(tmp_path, theirs) == {"error": "it has 2 threads"}


def test_a_control_group_that_cannot_be_entered_is_one_clear_error(tmp_path: Path) -> None:
    with template() as one, ends() as (theirs, ours):
        one.answer()
        pid = one.fork(tmp_path, theirs, entrance=str(tmp_path / "none" / "cgroup.procs"))["pid"]
        assert b"remove memory_hard_bytes or mend the control group" in os.read(ours[3], 4096)
        assert one.ask(reap=pid) == {"status": 78}


def test_what_goes_wrong_in_a_new_process_ends_it_alone(tmp_path: Path) -> None:
    with template() as one, ends() as (theirs, ours):
        one.answer()
        pid = one.fork(tmp_path / "nowhere", theirs)["pid"]
        assert one.ask(reap=pid) == {"status": 1}
        assert b"FileNotFoundError" in os.read(ours[2], 4096)
        assert isinstance(one.fork(tmp_path, theirs)["pid"], int)
