"""Checks of a StartUpload request, all at once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from gateway.artifacts.blobs import is_sha256
from gateway.artifacts.model import UploadPurpose
from gateway.artifacts.sanity import is_safe_path
from gateway.errors import InvalidRequest, Violation

_MAX_NAME_BYTES = 255
"""What file systems take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOrder:
    """A file that a client wants to send."""

    purpose: UploadPurpose
    name: str
    """File name, without folders."""
    size: int
    sha256: str
    connection_id: str = ""
    """Where it goes; only for artifacts."""
    metadata: str = "{}"
    """What the registry should know about it, as a JSON object; only for artifacts."""

    def check(self) -> None:
        """Look at all fields.

        Raises:
            InvalidRequest: With all fields that cannot be used.
        """
        found = [*self._file_violations(), *self._target_violations()]
        if found:
            raise InvalidRequest(found)

    def upload_id(self, connection_id: str) -> str:
        """Make the id that the same file for the same purpose and connection always gets."""
        text = json.dumps([self.purpose.value, connection_id, self.size, self.sha256])
        return f"upload-{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def _file_violations(self) -> list[Violation]:
        found = []
        if "/" in self.name or not is_safe_path(self.name) or len(self.name.encode()) > _MAX_NAME_BYTES:
            found.append(Violation("name", f"must be a file name without folders, {_MAX_NAME_BYTES} bytes at most"))
        if self.size <= 0:
            found.append(Violation("size", f"is {self.size}; give the file's size in bytes, which must not be empty"))
        if not is_sha256(self.sha256):
            found.append(Violation("sha256", "must be the SHA-256 of the whole file in lower-case hex"))
        return found

    def _target_violations(self) -> list[Violation]:
        if self.purpose is UploadPurpose.ARTIFACT and not self.connection_id:
            return [Violation("connection_id", "is required: say where the artifact goes")]
        if self.purpose is UploadPurpose.DATASET and self.connection_id:
            return [Violation("connection_id", "must be empty: a dataset stays in the gateway")]
        return []
