"""Start the shim of a job, and signal the processes that it looks after."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from connectors.local.job_folder import JobFolder

_SHIM = Path(__file__).with_name("shim.py")
_PASSED_ON = frozenset(
    {
        "PATH",
        "HOME",
        "LANG",
        "TMPDIR",
        "VIRTUAL_ENV",
        "CUDA_VISIBLE_DEVICES",
        "TOKENIZERS_PARALLELISM",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS",
        "OMP_WAIT_POLICY",
    }
)
_PASSED_ON_PREFIXES = ("LC_", "HF_")


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Pick what a training needs from an environment; secrets are not among it."""

    def is_passed_on(name: str) -> bool:
        if "TOKEN" in name and name != "TOKENIZERS_PARALLELISM":
            return False
        return name.upper() in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)

    return {name: value for name, value in environment.items() if is_passed_on(name)}


def start_shim(
    folder: JobFolder, command: Sequence[str], environment: Mapping[str, str], lock_descriptor: int
) -> subprocess.Popen[bytes]:
    """Start a run in a session of its own and hand it the lock; takes some milliseconds.

    The caller closes `lock_descriptor` afterwards; the run keeps its own.
    """
    argv = [sys.executable, "-I", "-S", str(_SHIM), str(folder.path), str(lock_descriptor), "--", *command]
    with folder.stdout_log.open("ab") as stdout, folder.stderr_log.open("ab") as stderr:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=folder.path,
            env=dict(environment),
            start_new_session=True,
            pass_fds=(lock_descriptor,),
        )


def ask_to_stop(folder: JobFolder) -> None:
    """Send SIGTERM to the processes of a run that lives; one that is already gone is no error."""
    _signal_group(folder, signal.SIGTERM)


def kill(folder: JobFolder) -> None:
    """Send SIGKILL to the processes of a run that lives."""
    _signal_group(folder, signal.SIGKILL)


def _signal_group(folder: JobFolder, number: signal.Signals) -> None:
    # Alive is looked at last: while the lock is held, the shim's process id is still the id of its group.
    run = folder.run()
    if run is not None and folder.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, number)
