"""The files of jobs, as rows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Row, delete, func, insert, select

from gateway.artifacts.model import Artifact, ArtifactKind, ArtifactState
from gateway.store.database import Database
from gateway.store.schema import artifacts


class ArtifactStore:
    """Remember what is known of jobs' files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, job_id: str) -> list[Artifact]:
        """List the files of a job, by path."""
        async with self._database.read() as db:
            rows = (await db.execute(select(artifacts).where(artifacts.c.job_id == job_id))).all()
        # Sorted here: databases sort text by rules of their own.
        return sorted(map(_artifact, rows), key=lambda artifact: (artifact.path, artifact.id))

    async def get(self, job_id: str, artifact_id: str) -> Artifact | None:
        """Find one file of a job."""
        query = select(artifacts).where(artifacts.c.job_id == job_id, artifacts.c.id == artifact_id)
        async with self._database.read() as db:
            row = (await db.execute(query)).one_or_none()
        return None if row is None else _artifact(row)

    async def replace(self, job_id: str, files: Sequence[Artifact]) -> None:
        """Keep these as the files of a job, and no others."""
        async with self._database.write() as db:
            await db.execute(delete(artifacts).where(artifacts.c.job_id == job_id))
            if files:
                await db.execute(insert(artifacts), [_values(job_id, file) for file in files])

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
