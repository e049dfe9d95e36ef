"""The failures that a user can understand and cure, and how foreign exceptions become them."""

from __future__ import annotations

import errno
from pathlib import Path

from connectors.trainer.exit_codes import ExitCode

_OUT_OF_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_DISK_FULL_TEXTS = ("no space left on device", "disk quota exceeded")
_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.EACCES, errno.EPERM)


class TrainerError(Exception):
    """Raised for a failure whose message alone tells the user what happened and what to do."""

    exit_code = ExitCode.INTERNAL_ERROR


class ConfigRejected(TrainerError):
    """Raised when the spec or the training config cannot be used."""

    exit_code = ExitCode.CONFIG_REJECTED


class BadData(TrainerError):
    """Raised when the dataset cannot be trained on."""

    exit_code = ExitCode.BAD_DATA


class ModelNotFound(TrainerError):
    """Raised when the base model cannot be had."""

    exit_code = ExitCode.MODEL_NOT_FOUND


class HardwareUnavailable(TrainerError):
    """Raised when the config asks for hardware or a library that this machine does not have."""

    exit_code = ExitCode.HARDWARE_UNAVAILABLE


class OutOfMemory(TrainerError):
    """Raised when memory of the machine or of the GPU ran out."""

    exit_code = ExitCode.OUT_OF_MEMORY


class StorageFailed(TrainerError):
    """Raised when a folder of the job cannot be written."""

    exit_code = ExitCode.IO_ERROR


class Interrupted(BaseException):
    """Raised where work is abandoned because a signal asked for it; not an error, hence no `Exception`."""


def foreseeable(error: Exception, folder: Path) -> TrainerError | None:
    """Translate an exception of torch, the libraries or the system; None = nobody foresaw it.

    Args:
        error: What was caught.
        folder: The job's folder, named when the system does not say which file it was about.

    """
    own = _own_error(error)
    if own is not None:
        return own
    if isinstance(error, ModuleNotFoundError):
        missing = f"the package {error.name} is not installed where the training runs"
        return HardwareUnavailable(f"{missing}; install peftstudio-connect[local] there")
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(mark.lower() in text for mark in _OUT_OF_MEMORY_TEXTS):
        advice = "use a smaller batch_size or max_seq_length, a smaller base model, or a machine with more memory"
        return OutOfMemory(f"out of memory: {advice}")
    disk_full = any(mark in text for mark in _DISK_FULL_TEXTS)
    if disk_full or (isinstance(error, OSError) and error.errno in _DISK_ERRNOS):
        return _storage_failed(error, folder, disk_full)
    return None


def _own_error(error: BaseException | None) -> TrainerError | None:
    while error is not None:  # the datasets library wraps what its generator raises
        if isinstance(error, TrainerError):
            return error
        error = error.__cause__
    return None


def _storage_failed(error: Exception, folder: Path, disk_full: bool) -> StorageFailed:
    filename = getattr(error, "filename", None)
    where = Path(str(filename)).parent if filename else folder
    if disk_full:
        return StorageFailed(f"the disk is full: cannot write to {where}; free some space, then resume the job")
    return StorageFailed(f"cannot write to {where}: {getattr(error, 'strerror', None) or error}")
