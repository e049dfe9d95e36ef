"""The command as a process of its own: signals, pipes, terminals and what is there when nothing is."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

from gateway.cli.exit_codes import MEANINGS
from gateway.cli.main import assemble
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_RUNNING
from tests.support.fake_gateway import FakeGateway
from tests.wire.cli.conftest import Cli

pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]

COMMAND = [sys.executable, "-c", "from gateway.cli.main import main; main()"]
BOUND_SECONDS = 30.0
DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def _environment(data_dir: Path) -> dict[str, str]:
    return {**os.environ, "PEFTSTUDIO_DATA_DIR": str(data_dir), "TERM": "xterm", "COLUMNS": "100"}


def _run(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=_environment(data_dir),
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        stdin=subprocess.DEVNULL,
    )


def test_no_gateway_is_exit_code_6_and_says_what_to_do(tmp_path: Path) -> None:
    done = _run(tmp_path, "jobs", "list")

    assert done.returncode == 6
    assert done.stderr.count("\n") == 1
    assert "start one with `peftstudio serve`" in done.stderr


def test_a_dead_gateway_is_exit_code_6_and_one_line(tmp_path: Path) -> None:
    done = _run(tmp_path, "--address", "127.0.0.1:1", "jobs", "list")

    assert done.returncode == 6
    assert re.fullmatch(r"peftstudio: the gateway at 127\.0\.0\.1:1 does not answer \(.*\n", done.stderr)


def test_a_wrong_token_is_exit_code_5(fake: FakeGateway) -> None:
    (fake.data_dir / "token").write_text("wrong")

    assert _run(fake.data_dir, "jobs", "list").returncode == 5


def test_a_wrong_command_line_is_exit_code_2(tmp_path: Path) -> None:
    assert _run(tmp_path, "jobs", "fly").returncode == 2
    assert _run(tmp_path, "jobs", "submit").returncode == 2


def test_help_needs_neither_grpc_nor_a_gateway() -> None:
    script = "import sys; from gateway.cli.main import assemble; assemble(); print('grpc' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=BOUND_SECONDS)

    assert done.stdout.strip() == "False"


def test_ctrl_c_detaches_from_a_log_and_says_that_the_job_goes_on(fake: FakeGateway) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)
    fake.state.add_lines("j", "first")
    # What is started in the background of a shell ignores Ctrl-C, and so do its children: these tests may be.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", listening + COMMAND[-1], "jobs", "logs", "j", "-f"]
    with subprocess.Popen(
        command, env=_environment(fake.data_dir), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=BOUND_SECONDS)

    assert process.returncode == 130
    assert "job j goes on" in err
    assert "peftstudio jobs cancel j" in err
    assert "Traceback" not in err


def test_a_closed_pipe_is_no_traceback(fake: FakeGateway) -> None:
    fake.state.add_job("j")
    fake.state.add_lines("j", *("x" * 1000 for _ in range(500)))
    command = [*COMMAND, "jobs", "logs", "j"]
    with subprocess.Popen(
        command, env=_environment(fake.data_dir), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.wait(BOUND_SECONDS)


def _on_terminal(fake: FakeGateway, *arguments: str, **variables: str) -> str:
    """Run a command on a pseudo-terminal and return all that it wrote."""
    mine, its = pty.openpty()
    environment = {**_environment(fake.data_dir), **variables}
    process = subprocess.Popen([*COMMAND, *arguments], env=environment, stdin=its, stdout=its, stderr=its)
    os.close(its)
    written, deadline = b"", time.monotonic() + BOUND_SECONDS
    while time.monotonic() < deadline and select.select([mine], [], [], BOUND_SECONDS)[0]:
        try:
            written += os.read(mine, 65_536)
        except OSError:
            # The other side of a terminal is closed: its last process has ended.
            break

    os.close(mine)
    process.wait(BOUND_SECONDS)
    return written.decode()


def test_a_terminal_gets_colours_unless_they_are_not_wanted(fake: FakeGateway) -> None:
    fake.state.add_job("j")

    assert "\x1b[32msucceeded" in _on_terminal(fake, "jobs", "list")
    assert "\x1b[32m" not in _on_terminal(fake, "jobs", "list", NO_COLOR="1")


def test_control_sequences_of_a_log_do_not_reach_the_terminal(fake: FakeGateway) -> None:
    fake.state.add_job("j")
    fake.state.add_lines("j", "\x1b]0;title\x07evil \x1b[2J\x1b[31mred\x1b[0m")

    written = _on_terminal(fake, "jobs", "logs", "j")

    assert "\x1b[2J" not in written
    assert "\x1b]0;" not in written
    assert "\x1b[31mred" in written


def test_an_error_while_following_on_a_terminal_is_one_line(fake: FakeGateway) -> None:
    fake.state.add_job("j")
    fake.token = "changed while it ran"

    written = _on_terminal(fake, "jobs", "logs", "j", "-f")

    assert "Traceback" not in written
    assert "the token of the call is not this gateway's" in written


def test_every_command_has_examples_and_stands_in_the_manual(cli: Cli) -> None:
    manual = DOCS.read_text()
    names: list[tuple[str, ...]] = []
    for name, command in getattr(get_command(assemble()), "commands", {}).items():
        group = getattr(command, "commands", None)
        names += [(name,)] if group is None else [(name, sub) for sub, verb in group.items() if not verb.hidden]

    assert len(names) > 30
    for path in names:
        shown = cli(*path, "--help")
        assert shown.code == 0
        assert f"$ peftstudio {' '.join(path)}" in shown.out
        assert f"peftstudio {' '.join(path)}" in manual

    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in manual
