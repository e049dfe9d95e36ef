"""Put a pipe on descriptor 3 and become the connector: `_shim.py DESCRIPTOR PROGRAM ARGUMENT...`.

Runs as a script behind an exec: between fork and exec, no code is safe beside a running gRPC.
"""

import json
import os
import signal
import sys

HANDSHAKE = 3
CANNOT_START = 78


def main() -> None:
    """Become the program, or write into the handshake why that cannot be."""
    descriptor, command = int(sys.argv[1]), sys.argv[2:]
    if descriptor == HANDSHAKE:
        os.set_inheritable(HANDSHAKE, True)
    else:
        os.dup2(descriptor, HANDSHAKE, inheritable=True)
        os.close(descriptor)
    # Python ignores it for itself, and what is ignored stays ignored behind an exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the program is the caller's
    except OSError as error:
        reason = f"cannot run {command[0]}: {error.strerror}"
        os.write(HANDSHAKE, json.dumps({"version": 1, "error": reason}).encode() + b"\n")
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
