"""What is wrong with this connector: the words behind its name on the command line."""

from __future__ import annotations

import sys

FAULTS = frozenset(sys.argv[1:])
