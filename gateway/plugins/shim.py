"""Puts the handshake pipe on descriptor 3 and becomes the connector's program.

`subprocess` can hand a pipe on only under the number that it has in the gateway, and the contract says 3. Doing this
between fork and exec (`preexec_fn`) is not safe in a process that runs gRPC (grpc#43055), so it is done behind an exec.
Runs as a script, with `python -I -S`, and takes about 10 ms.
"""

import os
import signal
import sys

HANDSHAKE = 3
CANNOT_START = 78


def main() -> None:
    """Become the program: `shim.py DESCRIPTOR ENTRANCE PROGRAM ARGUMENT...`; an empty entrance is none."""
    descriptor, entrance, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if descriptor == HANDSHAKE:
        os.set_inheritable(HANDSHAKE, True)
    else:
        os.dup2(descriptor, HANDSHAKE, inheritable=True)
        os.close(descriptor)
    # Python ignores these for itself, and what is ignored stays ignored behind an exec.
    for name in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(name, signal.SIG_DFL)
    _enter(entrance)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the program is the manifest's
    except OSError as error:
        _refuse(f"cannot run {command[0]}: {error.strerror}; correct `command` in connector.toml")


def _enter(entrance: str) -> None:
    """Go into the control group that limits the memory, before the program can start anything."""
    if entrance:
        try:
            with open(entrance, "w") as file:
                file.write(str(os.getpid()))
        except OSError as error:
            _refuse(f"cannot enter {entrance}: {error.strerror}; remove memory_hard_bytes or mend the control group")


def _refuse(reason: str) -> None:
    import json

    os.write(HANDSHAKE, json.dumps({"version": 1, "error": reason}).encode() + b"\n")
    sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
