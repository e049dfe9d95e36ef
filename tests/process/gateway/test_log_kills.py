"""A log whose writer is killed in the middle of anything: of an append, a rotation, a deletion."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.logs.segments import RETENTION, Segments
from gateway.logs.wire import lines

pytestmark = pytest.mark.process

KILLS = 12
LIMIT = 16 * 1024
WRITER = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from gateway.logs.intake import prepare
from gateway.logs.place import Place
from gateway.redaction import Redactor
from gateway.logs.segments import Segments
from gateway.logs.wire import LogLine

log = Segments(Path(sys.argv[1]), int(sys.argv[2]))
redact, now = Redactor(), datetime.now(UTC)
while True:
    first = log.mark.last_seq + 1
    prepared = prepare([LogLine(text=f"line {first}")], first_seq=first, redact=redact, now=now)
    log.append(prepared.encoded, Place(cursor=str(first), source_lines=first))
    print(first, flush=True)
"""


def test_a_writer_that_is_killed_leaves_all_that_it_served_and_the_next_goes_on_behind_it(tmp_path: Path) -> None:
    chance, folder, rotations = random.Random(5), tmp_path / "log", set[int]()
    for _ in range(KILLS):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(LIMIT)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline()
        time.sleep(chance.uniform(0, 0.02))
        writer.kill()
        served = int(writer.stdout.read().split(b"\n")[-2:][0] or 0)
        writer.wait(10)
        log = Segments(folder, LIMIT)
        last, kept = log.mark.last_seq, log.kept_after
        assert last >= served
        assert (log.mark.place.cursor, log.mark.place.source_lines) == (str(last), last)
        spot, found = log.locate(0), list[tuple[int, str]]()
        while run := log.read(spot):
            spot = run.spot
            assert not run.missing_from or (run.missing_from, spot.seq, run.why) == (1, kept, RETENTION)
            found += [(line.seq, line.text) for line in lines(run.data)]
        assert found == [(number, f"line {number}") for number in range(kept + 1, last + 1)]
        rotations.add(kept)
        log.close()
    print(f"{last} lines, kept behind {sorted(rotations)}")
    assert len(rotations) > KILLS / 2
