"""A program in place of the trainer: writes a log, metrics and an output folder, as `training_stub.py SPEC.json`.

With the option `wait` a first run lasts until SIGTERM, as if it had written a checkpoint.
"""

import hashlib
import json
import signal
import sys
import time
from pathlib import Path

WEIGHTS = b"weights" * 1000
INTERRUPTED = 75


def main() -> int:
    spec = json.loads(Path(sys.argv[1]).read_text())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if spec["config"]["options"].get("wait") and not spec["resume"]:
        signal.sigwait({signal.SIGTERM})
        return INTERRUPTED
    with open(spec["records_path"], "a") as records:
        for step in (1, 2):
            point = {"kind": "metric", "name": "loss", "value": "nan", "step": step, "epoch": 0.5, "attempt": 1}
            records.write(json.dumps({**point, "time": time.time()}) + "\n")
        records.write('{"kind": "phase", "phase": "saving"}\n{"cut')
    for number in range(3):
        print("line", number)
    print("the last line has no end", end="")
    print("a warning", file=sys.stderr)
    output = Path(spec["output_dir"])
    output.mkdir()
    (output / "adapter_model.safetensors").write_bytes(WEIGHTS)
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    file = {"path": "adapter_model.safetensors", "size": len(WEIGHTS), "sha256": digest, "kind": "adapter"}
    (output / "manifest.json").write_text(json.dumps({"version": 1, "files": [file]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
