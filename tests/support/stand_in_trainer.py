"""A program that keeps the trainer's contract without training: `stand_in_trainer.py SPEC.json`.

`config.options.behaviour` says what it does: `finish`, `wait` (until SIGTERM; a resumed run finishes),
`stubborn` (ignores SIGTERM), `refuse` (status 65), `empty` (status 0 without artifacts).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

STUBBORN_SECONDS = 60

Spec = dict[str, Any]


def main() -> int:
    spec = json.loads(Path(sys.argv[1]).read_text())
    behaviour = spec["config"]["options"]["behaviour"]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    record(spec, {"kind": "progress", "step": 3, "total_steps": 9, "estimated_remaining_seconds": 6.0})
    print(f"started {os.getpid()} resume={spec['resume']} attempt={spec['attempt']}", flush=True)
    if behaviour == "stubborn":
        time.sleep(STUBBORN_SECONDS)
    if behaviour == "refuse" and spec["attempt"] == 1:
        return end(spec, "failed", 65, "line 3: not valid JSON")
    if behaviour == "wait" and not spec["resume"]:
        signal.sigwait({signal.SIGTERM})
        return end(spec, "interrupted", 75, "stopped")
    if behaviour != "empty":
        output = Path(spec["output_dir"])
        output.mkdir()
        (output / "manifest.json").write_text("{}")
    return end(spec, "succeeded", 0, "finished")


def end(spec: Spec, outcome: str, exit_code: int, message: str) -> int:
    record(spec, {"kind": "result", "outcome": outcome, "exit_code": exit_code, "message": message})
    return exit_code


def record(spec: Spec, values: dict[str, object]) -> None:
    with open(spec["records_path"], "a") as file:
        file.write(json.dumps({**values, "time": time.time()}) + "\n")


sys.exit(main())
