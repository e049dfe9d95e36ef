"""What clients can do with deployments.

Each is in the ledger before its platform hears of it, and the platform is asked for it once: an answer that is lost
leaves it IN_DOUBT, since another call might rent a second machine. A stop that was asked for is asked until it happens,
over restarts too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import structlog
from sqlalchemy.exc import IntegrityError

from gateway.backoff import Backoff
from gateway.clock import Clock
from gateway.connections.model import Connection
from gateway.deployments.model import Deployment, DeploymentState, DeploymentVerbs, DeploymentWish
from gateway.errors import (
    AMBIGUOUS,
    GatewayError,
    LedgerUnavailable,
    NotFound,
    Reason,
    RemoteError,
    RequestIdReused,
    StorageFull,
    WrongState,
)
from gateway.ids import new_id
from gateway.paging import PageRequest
from gateway.priority import asked_by_user
from gateway.single_flight import SingleFlight
from gateway.store.deployments import DeploymentStore

DEPLOY = "deploy_model"
STOP = "stop_deployment"
ENDPOINT = "get_endpoint_url"

STOP_AGAIN_SECONDS = 15.0
"""Until a platform that did not obey is asked again: each minute costs money, and an outage lasts minutes."""

NOTE_FIRST_SECONDS, NOTE_CAP_SECONDS = 0.2, 5.0
"""Pauses before the ledger is tried again with an answer that only this process knows."""

ENDPOINT_SECONDS = 10.0
"""How long a user waits for an address; the rest of the deployment is known without."""

log = structlog.get_logger(__name__)


class Deployments:
    """All deployments of this gateway."""

    def __init__(
        self,
        *,
        store: DeploymentStore,
        find_connection: Callable[[str], Awaitable[Connection]],
        verbs: Callable[[str], Awaitable[DeploymentVerbs]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._find_connection = find_connection
        self._verbs = verbs
        self._clock = clock
        self._under_way: SingleFlight[tuple[str, str], Deployment] = SingleFlight()

    async def run(self, pause_seconds: float = STOP_AGAIN_SECONDS) -> None:
        """Ask platforms for the stops that did not happen yet, until it is cancelled."""
        while True:
            with suppress(GatewayError):
                await self._stop_again(await self._store.in_state(DeploymentState.STOPPING))
            await asyncio.sleep(pause_seconds)

    async def start(self) -> None:
        """Take note of what an earlier gateway left unanswered; the first call of every start."""
        for deployment in await self._store.in_state(DeploymentState.DEPLOYING):
            await self._change(
                deployment.id, lambda one: _doubtful(one, "the gateway ended before the platform answered")
            )

    async def close(self) -> None:
        """End the calls that are under way; what they were for is in the ledger."""
        await self._under_way.close()

    async def create(self, wish: DeploymentWish) -> tuple[Deployment, bool]:
        """Deploy a model and return the deployment, and whether its request id had been used for it before.

        Raises:
            RequestIdReused: The request id was used for something else.
            Unsupported: The connector cannot deploy, or could not stop what it deploys.
        """
        if wish.request_id and (known := await self._store.by_request_id(wish.request_id)):
            return _replay(known, wish), True
        connection = await self._find_connection(wish.connection_id)
        with asked_by_user():
            await (await self._verbs(connection.id)).require(DEPLOY, STOP)
        deployment = self._draft(wish, connection)
        try:
            return await self._under_way.do((DEPLOY, deployment.id), lambda: self._take_on(deployment)), False
        except IntegrityError:
            # Another call with the same request id was faster.
            if winner := await self._store.by_request_id(wish.request_id):
                return _replay(winner, wish), True
            raise

    async def get(self, deployment_id: str) -> Deployment:
        """Return a deployment; one that is there and has no address yet is asked for it."""
        deployment = await self._known(deployment_id)
        if deployment.state is not DeploymentState.ACTIVE or deployment.endpoint_url:
            return deployment
        # The record as it is will do where the platform does not answer, or has no such call.
        with suppress(GatewayError, TimeoutError):
            async with asyncio.timeout(ENDPOINT_SECONDS):
                verbs = await self._verbs(deployment.connection_id)
                await verbs.require(ENDPOINT)
                if url := await verbs.endpoint(deployment.platform_id):
                    return await self._change(deployment_id, lambda one: replace(one, endpoint_url=url))
        return deployment

    async def page(self, page: PageRequest, connection: str, *, with_ended: bool) -> tuple[list[Deployment], str]:
        """List deployments, oldest first, with the token of the next page."""
        connection_id = (await self._find_connection(connection)).id if connection else ""
        return await self._store.page(page, connection_id, with_ended=with_ended)

    async def update(self, deployment_id: str, changes: str) -> Deployment:
        """Change a deployment's options."""
        deployment = await self._active(deployment_id)
        await (await self._verbs(deployment.connection_id)).update(deployment.platform_id, changes)
        return await self._change(deployment_id, lambda one: replace(one, options=_merged(one.options, changes)))

    async def stop(self, deployment_id: str) -> Deployment:
        """Note that a deployment shall end and ask its platform; one that does not obey is asked again."""
        deployment = await self._change(deployment_id, _stopping)
        if deployment.state is not DeploymentState.STOPPING:
            return deployment
        return await self._under_way.do((STOP, deployment_id), lambda: self._end(deployment))

    async def invoke(self, deployment_id: str, question: str) -> str:
        """Ask a deployed model; question and answer are JSON."""
        deployment = await self._active(deployment_id)
        return await (await self._verbs(deployment.connection_id)).invoke(deployment.platform_id, question)

    async def metrics(self, deployment_id: str) -> str:
        """Return what the platform measures, as JSON."""
        deployment = await self._active(deployment_id)
        return await (await self._verbs(deployment.connection_id)).metrics(deployment.platform_id)

    def _draft(self, wish: DeploymentWish, connection: Connection) -> Deployment:
        now = self._clock.now()
        return Deployment(
            id=new_id("dep", now),
            connection_id=connection.id,
            connector_id=connection.connector_id,
            model=wish.model,
            base_model=wish.base_model,
            resource_id=wish.resource_id,
            options=wish.options,
            state=DeploymentState.DEPLOYING,
            created_at=now,
            updated_at=now,
            request_id=wish.request_id,
            request_hash=wish.digest,
        )

    async def _take_on(self, deployment: Deployment) -> Deployment:
        try:
            await self._store.add(deployment)
        except LedgerUnavailable as error:
            if error.is_in_doubt:
                # One that is stored after all would look as if it were being made for ever.
                with suppress(NotFound):
                    await self._note(deployment.id, partial(_failed, words="the ledger was away; nothing was deployed"))
            raise
        return await self._deploy(deployment)

    async def _deploy(self, deployment: Deployment) -> Deployment:
        try:
            platform_id, url = await (await self._verbs(deployment.connection_id)).deploy(deployment)
        except GatewayError as error:
            words, is_doubtful = error.message, error.reason in AMBIGUOUS and not error.is_unsent
            return await self._note(deployment.id, lambda one: (_doubtful if is_doubtful else _failed)(one, words))
        return await self._note(
            deployment.id,
            lambda one: replace(one, state=DeploymentState.ACTIVE, platform_id=platform_id, endpoint_url=url),
        )

    async def _end(self, deployment: Deployment) -> Deployment:
        try:
            await (await self._verbs(deployment.connection_id)).stop(deployment.platform_id)
        except GatewayError as error:
            if not (isinstance(error, RemoteError) and error.reason is Reason.NOT_FOUND):
                words = f"it is to be stopped, and its platform will be asked again: {error.message}"
                return await self._change(deployment.id, lambda one: replace(one, message=words))
        return await self._note(deployment.id, self._stopped)

    async def _stop_again(self, stopping: Sequence[Deployment]) -> None:
        calls = [self._under_way.do((STOP, one.id), partial(self._end, one)) for one in stopping]
        for one, failure in zip(stopping, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(failure, BaseException):
                log.warning("deployment not stopped yet", deployment_id=one.id, error=str(failure))

    def _stopped(self, deployment: Deployment) -> Deployment:
        return replace(deployment, state=DeploymentState.STOPPED, message="", stopped_at=self._clock.now())

    async def _active(self, deployment_id: str) -> Deployment:
        deployment = await self._known(deployment_id)
        if deployment.state is not DeploymentState.ACTIVE:
            raise WrongState(f"deployment {deployment_id!r} is {deployment.state.value}, not ACTIVE")
        return deployment

    async def _known(self, deployment_id: str) -> Deployment:
        deployment = await self._store.get(deployment_id)
        if deployment is None:
            raise NotFound("deployment", deployment_id)
        return deployment

    async def _change(self, deployment_id: str, change: Callable[[Deployment], Deployment]) -> Deployment:
        now = self._clock.now()

        def stamped(one: Deployment) -> Deployment:
            made = change(one)
            return one if made == one else replace(made, updated_at=now)

        changed = await self._store.change(deployment_id, stamped)
        if changed is None:
            raise NotFound("deployment", deployment_id)
        return changed

    async def _note(self, deployment_id: str, change: Callable[[Deployment], Deployment]) -> Deployment:
        """Change a deployment by what only this process knows, however long the ledger cannot be written."""
        backoff = Backoff(NOTE_FIRST_SECONDS, NOTE_CAP_SECONDS)
        while True:
            try:
                return await self._change(deployment_id, change)
            except (LedgerUnavailable, StorageFull) as error:
                log.warning("deployment not noted yet", deployment_id=deployment_id, error=error.message)
                await asyncio.sleep(backoff.next_seconds())


def _replay(deployment: Deployment, wish: DeploymentWish) -> Deployment:
    if deployment.request_hash != wish.digest:
        raise RequestIdReused(
            f"request id {wish.request_id!r} was used for another deployment, {deployment.id}; choose a new one"
        )
    return deployment


def _merged(options: str, changes: str) -> str:
    return json.dumps({**json.loads(options), **json.loads(changes)}, sort_keys=True)


def _doubtful(deployment: Deployment, words: str) -> Deployment:
    text = f"{words}; it may be there and cost money: look for {deployment.id} on the platform's pages"
    return replace(deployment, state=DeploymentState.IN_DOUBT, message=text)


def _failed(deployment: Deployment, words: str) -> Deployment:
    return replace(deployment, state=DeploymentState.FAILED, message=words)


def _stopping(deployment: Deployment) -> Deployment:
    if deployment.state is DeploymentState.DEPLOYING:
        raise WrongState(f"deployment {deployment.id!r} is still being made; stop it once that is done")
    if deployment.state is DeploymentState.IN_DOUBT:
        raise WrongState(f"deployment {deployment.id!r} has no id at its platform: {deployment.message}")
    if deployment.state is DeploymentState.ACTIVE:
        return replace(deployment, state=DeploymentState.STOPPING)
    return deployment
