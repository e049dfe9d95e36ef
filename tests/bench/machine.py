"""The machine that measures, so that its figures can be understood elsewhere."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

CPUINFO = Path("/proc/cpuinfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Machine:
    """What figures depend on beside the code."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    grpcio: str
    governor: str
    """Of the processor's frequency; "unknown" where the machine does not tell, as virtual ones do not."""
    load: float
    """How many processes wanted to run during the minute before."""

    @classmethod
    def found(cls) -> Machine:
        """Look at this machine."""
        return cls(
            processor=_processor(),
            cores=os.cpu_count() or 1,
            memory_gib=round(psutil.virtual_memory().total / 1024**3, 1),
            kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
            python=platform.python_version(),
            grpcio=grpc.__version__,
            governor=GOVERNOR.read_text().strip() if GOVERNOR.exists() else UNKNOWN,
            load=round(os.getloadavg()[0], 2),
        )

    def __str__(self) -> str:
        parts = [self.processor, f"{self.cores} cores", f"{self.memory_gib:g} GiB", self.kernel]
        parts += [f"Python {self.python}", f"grpcio {self.grpcio}"]
        if self.governor != UNKNOWN:
            parts.append(f"governor {self.governor}")
        return ", ".join([*parts, f"load {self.load:g} before"])


def _processor() -> str:
    """Return the processor's name; Linux alone tells it in a file."""
    if CPUINFO.exists():
        for line in CPUINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
