"""The digest of the contract between gateway and connectors: two builds with the same one mean the same by it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

from peftstudio.connector.v1 import connector_service_pb2

_OURS = "peftstudio/"


@cache
def contract_digest() -> str:
    """Return SHA-256 over the descriptors of the connector's service and all of ours that it needs, by file name."""
    files: dict[str, FileDescriptor] = {}
    _gather(connector_service_pb2.DESCRIPTOR, files)
    total = sha256()
    for name in sorted(files):
        copy = descriptor_pb2.FileDescriptorProto()
        files[name].CopyToProto(copy)
        total.update(copy.SerializeToString(deterministic=True))
    return total.hexdigest()


def _gather(file: FileDescriptor, files: dict[str, FileDescriptor]) -> None:
    if file.name.startswith(_OURS) and file.name not in files:
        files[file.name] = file
        for needed in file.dependencies:
            _gather(needed, files)
