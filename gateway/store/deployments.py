"""Deployments, as rows."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Row, insert, select, update

from gateway.deployments.model import ENDED, HELD, Deployment, DeploymentState
from gateway.paging import PageRequest
from gateway.store.columns import micros, micros_or_none, moment, moment_or_none
from gateway.store.database import Database
from gateway.store.schema import deployments

Cell = str | int | None


class DeploymentStore:
    """Keep deployments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, deployment: Deployment) -> None:
        """Keep a new deployment; raises `IntegrityError` where its request id is taken."""
        async with self._database.write() as db:
            await db.execute(insert(deployments).values(_values(deployment)))

    async def get(self, deployment_id: str) -> Deployment | None:
        """Find a deployment."""
        async with self._database.read() as db:
            row = (await db.execute(select(deployments).where(deployments.c.id == deployment_id))).one_or_none()
        return None if row is None else _deployment(row)

    async def by_request_id(self, request_id: str) -> Deployment | None:
        """Find the deployment that was asked for under a request id."""
        async with self._database.read() as db:
            row = (await db.execute(select(deployments).where(deployments.c.request_id == request_id))).one_or_none()
        return None if row is None else _deployment(row)

    async def change(self, deployment_id: str, change: Callable[[Deployment], Deployment]) -> Deployment | None:
        """Replace a deployment by what `change` makes of it; None = there is no such deployment."""
        match = deployments.c.id == deployment_id
        async with self._database.write() as db:
            row = (await db.execute(select(deployments).where(match))).one_or_none()
            if row is None:
                return None
            before = _deployment(row)
            changed = change(before)
            if changed != before:
                await db.execute(update(deployments).where(match).values(_values(changed)))
        return changed

    async def page(self, page: PageRequest, connection_id: str, *, with_ended: bool) -> tuple[list[Deployment], str]:
        """List deployments by id, which is by age, with the token of the next page."""
        query = select(deployments).where(deployments.c.id > page.after).order_by(deployments.c.id).limit(page.size + 1)
        if connection_id:
            query = query.where(deployments.c.connection_id == connection_id)
        if not with_ended:
            query = query.where(deployments.c.state.not_in([state.value for state in ENDED]))
        async with self._database.read() as db:
            rows = (await db.execute(query)).all()
        return page.cut([(str(row.id), _deployment(row)) for row in rows])

    async def in_state(self, state: DeploymentState) -> list[Deployment]:
        """List all that are in a state."""
        async with self._database.read() as db:
            rows = (await db.execute(select(deployments).where(deployments.c.state == state.value))).all()
        return [_deployment(row) for row in rows]

    async def holds(self, connection_id: str) -> bool:
        """Whether a connection is needed to end what it deployed."""
        is_held = (deployments.c.connection_id == connection_id) & deployments.c.state.in_(
            [state.value for state in HELD]
        )
        async with self._database.read() as db:
            return (await db.execute(select(deployments.c.id).where(is_held).limit(1))).first() is not None


def _values(deployment: Deployment) -> dict[str, Cell]:
    return {
        "id": deployment.id,
        "connection_id": deployment.connection_id,
        "connector_id": deployment.connector_id,
        "request_id": deployment.request_id or None,
        "request_hash": deployment.request_hash,
        "model": deployment.model,
        "base_model": deployment.base_model,
        "resource_id": deployment.resource_id,
        "options": deployment.options,
        "state": deployment.state.value,
        "message": deployment.message,
        "platform_id": deployment.platform_id,
        "endpoint_url": deployment.endpoint_url,
        "created_at": micros(deployment.created_at),
        "updated_at": micros(deployment.updated_at),
        "stopped_at": micros_or_none(deployment.stopped_at),
    }


def _deployment(row: Row[tuple[object, ...]]) -> Deployment:
    return Deployment(
        id=row.id,
        connection_id=row.connection_id,
        connector_id=row.connector_id,
        request_id=row.request_id or "",
        request_hash=row.request_hash,
        model=row.model,
        base_model=row.base_model,
        resource_id=row.resource_id,
        options=row.options,
        state=DeploymentState(row.state),
        message=row.message,
        platform_id=row.platform_id,
        endpoint_url=row.endpoint_url,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        stopped_at=moment_or_none(row.stopped_at),
    )
