"""What a platform's list of files means beside what is remembered of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.artifacts.model import Artifact, ArtifactState
from gateway.artifacts.sanity import sane
from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Listing:
    """A platform's list, with the files that are not offered."""

    files: Sequence[Artifact]
    refused: Mapping[str, GatewayError]

    @classmethod
    def of(cls, seen: Sequence[Artifact]) -> Listing:
        """Take what can be believed; of files with the same id or path, the first."""
        files: dict[str, Artifact] = {}
        paths: set[str] = set()
        refused: dict[str, GatewayError] = {}
        for artifact in seen:
            if artifact.id in files:
                continue
            try:
                files[artifact.id] = sane(artifact, paths)
            except GatewayError as error:
                refused[artifact.id] = error
            else:
                paths.add(artifact.path)
        return cls(list(files.values()), refused)

    def merged(self, remembered: Sequence[Artifact], *, is_final: bool) -> list[Artifact]:
        """Put what is remembered to what was seen now.

        Args:
            remembered: The files as they were known before.
            is_final: Whether the job has ended, so that its files no longer change.
        """
        known = {artifact.id: artifact for artifact in remembered}
        present = [_merged(known.get(seen.id), seen, is_final) for seen in self.files]
        gone = known.keys() - {seen.id for seen in self.files} - self.refused.keys()
        return present + [_missed(known[artifact_id]) for artifact_id in sorted(gone)]


def shown(artifact: Artifact) -> Artifact:
    """Return a file as clients see it: their etag is its checksum as soon as that is known."""
    return replace(artifact, etag=artifact.sha256 or artifact.etag)


def _merged(known: Artifact | None, seen: Artifact, is_final: bool) -> Artifact:
    if known is None or not _is_same(known, seen, is_final):
        return replace(seen, state=ArtifactState.REMOTE)
    return replace(
        seen,
        size=known.size if seen.size is None else seen.size,
        sha256=seen.sha256 or known.sha256,
        state=ArtifactState.REMOTE if known.state is ArtifactState.MISSING else known.state,
        unsafe=seen.unsafe or known.unsafe,
    )


def _is_same(known: Artifact, seen: Artifact, is_final: bool) -> bool:
    if None not in (known.size, seen.size) and known.size != seen.size:
        return False
    if known.sha256 and seen.sha256:
        return known.sha256 == seen.sha256
    if known.etag and seen.etag:
        return known.etag == seen.etag
    return is_final


def _missed(artifact: Artifact) -> Artifact:
    # What is in the gateway's own store can still be had.
    is_here = artifact.state is ArtifactState.VERIFIED
    return artifact if is_here else replace(artifact, state=ArtifactState.MISSING)
