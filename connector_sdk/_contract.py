"""Name the contract that this SDK was generated from, so that a difference to the gateway's can be seen."""

from __future__ import annotations

import hashlib

from google.protobuf.descriptor import FileDescriptor

from peftstudio.connector.v1 import connector_service_pb2

SERVICE = connector_service_pb2.DESCRIPTOR.services_by_name["ConnectorService"].full_name
OURS = "peftstudio/"
"""What the names of the contract's own files begin with; those of protobuf itself differ from version to version."""


def contract_digest() -> str:
    """Give the SHA-256, in hex, of the serialized descriptors of the contract's files, in the order of their names."""
    files: dict[str, FileDescriptor] = {}
    _collect(connector_service_pb2.DESCRIPTOR, files)
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(files[name].serialized_pb)
    return digest.hexdigest()


def _collect(file: FileDescriptor, found: dict[str, FileDescriptor]) -> None:
    if file.name.startswith(OURS) and file.name not in found:
        found[file.name] = file
        for dependency in file.dependencies:
            _collect(dependency, found)
