"""The gateway's own log where it cannot be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

FULL = Path("/dev/full")

PROGRAM = """
import structlog
from gateway import logging_setup
logging_setup.configure("INFO", "console")
log = structlog.get_logger()
for _ in range(100):
    log.info("a line", text="x" * 1000)
try:
    raise ValueError("a bug")
except ValueError:
    log.exception("work failed")
print("went on", flush=True)
"""


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_log_on_a_full_disk_loses_lines_and_ends_no_work() -> None:
    with FULL.open("w") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.stdout == b"went on\n"
