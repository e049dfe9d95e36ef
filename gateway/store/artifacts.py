"""The files of jobs, as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Row, delete, func, insert, select

from gateway.artifacts.model import Artifact, ArtifactKind, ArtifactState
from gateway.store.database import Database
from gateway.store.schema import artifacts


class ArtifactStore:
    """Remember what is known of jobs' files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, job_id: str) -> Sequence[Artifact]:
        """List the files of a job, by path."""
        return (await self.lists([job_id]))[job_id]

    async def lists(self, job_ids: Collection[str]) -> dict[str, Sequence[Artifact]]:
        """List the files of each of some jobs, by path."""
        found: dict[str, set[Artifact]] = {job_id: set() for job_id in job_ids}
        async with self._database.read() as db:
            for row in await db.execute(select(artifacts).where(artifacts.c.job_id.in_(found))):
                found[row.job_id].add(_artifact(row))
        return {job_id: in_order(files) for job_id, files in found.items()}

    async def get(self, job_id: str, artifact_id: str) -> Artifact | None:
        """Find one file of a job."""
        query = select(artifacts).where(artifacts.c.job_id == job_id, artifacts.c.id == artifact_id)
        async with self._database.read() as db:
            row = (await db.execute(query)).one_or_none()
        return None if row is None else _artifact(row)

    async def replace(self, lists: Mapping[str, Sequence[Artifact]]) -> None:
        """Keep these as the files of some jobs, and no others of theirs."""
        rows = [_values(job_id, file) for job_id, files in lists.items() for file in files]
        async with self._database.write() as db:
            await db.execute(delete(artifacts).where(artifacts.c.job_id.in_(lists)))
            if rows:
                await db.execute(insert(artifacts), rows)

    async def save(self, job_id: str, artifact: Artifact) -> None:
        """Keep how one file is now."""
        where = (artifacts.c.job_id == job_id, artifacts.c.id == artifact.id)
        async with self._database.write() as db:
            await db.execute(delete(artifacts).where(*where))
            await db.execute(insert(artifacts).values(_values(job_id, artifact)))

    async def uses(self, sha256: str) -> bool:
        """Whether a verified file has these bytes."""
        query = select(func.count()).where(artifacts.c.sha256 == sha256, artifacts.c.state == ArtifactState.VERIFIED)
        async with self._database.read() as db:
            return bool((await db.execute(query)).scalar_one())


def in_order(files: Iterable[Artifact]) -> list[Artifact]:
    """Sort files by path; not in the database, as each sorts text by rules of its own."""
    return sorted(files, key=lambda file: (file.path, file.id))


def _values(job_id: str, artifact: Artifact) -> dict[str, str | int | None]:
    return {
        "job_id": job_id,
        "id": artifact.id,
        "path": artifact.path,
        "kind": artifact.kind.value,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "etag": artifact.etag,
        "state": artifact.state.value,
        "unsafe": int(artifact.unsafe),
    }


def _artifact(row: Row[tuple[object, ...]]) -> Artifact:
    return Artifact(
        id=row.id,
        path=row.path,
        kind=ArtifactKind(row.kind),
        size=row.size,
        sha256=row.sha256,
        etag=row.etag,
        state=ArtifactState(row.state),
        unsafe=bool(row.unsafe),
    )
