"""Makes instances: counts the generation, makes the folders and tokens, and launches the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gateway.errors import GatewayError
from gateway.plugins.adopted import AdoptedProcess, AuthorsProcess
from gateway.plugins.channel import open_channel, open_remote_channel
from gateway.plugins.client import ConnectorClient
from gateway.plugins.elsewhere import Unusable
from gateway.plugins.failures import StartFailed
from gateway.plugins.fences import Fence, Fences
from gateway.plugins.folders import Folders, write_private
from gateway.plugins.handshake import Bootstrap, Tokens
from gateway.plugins.identity import identify
from gateway.plugins.instance import Instance
from gateway.plugins.launch_order import LaunchOrder
from gateway.plugins.launcher import Launcher
from gateway.plugins.limits import HostLoss, Limits
from gateway.plugins.lines import LastLines
from gateway.plugins.log_tail import LogTail
from gateway.plugins.memory_kills import Group, own_group
from gateway.plugins.model import ExitClass
from gateway.plugins.process import Body
from gateway.plugins.spec import ConnectorSpec, Integrity
from gateway.plugins.state_file import State, write_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Incubator:
    """Makes the instances of all connectors of one gateway."""

    launcher: Launcher
    folders: Folders
    limits: Limits
    log_level: str
    hear: Callable[[str, str, str], None]
    """Called with connector, stream and each line that a process prints."""
    integrity: Integrity = Integrity.SHOW
    group: Group = field(default_factory=own_group)
    fences: Fences = field(default_factory=lambda: Fences(None))

    async def launch(self, spec: ConnectorSpec, generation: int, on_trouble: Callable[[str], None]) -> Instance:
        """Launch a generation of a connector.

        Raises:
            StartFailed: There is no place for it, or the system cannot start it.

        """
        try:
            bootstrap = self._bootstrap(spec, generation)
        except (OSError, GatewayError) as error:
            raise StartFailed(f"there is no place for its process: {error}", ExitClass.ERROR) from error
        limit = bootstrap.memory_limit_bytes
        fence = self.fences.make(spec.id, generation, limit) if limit else None
        if fence is not None:
            # The kernel sees to it; what the process would do to itself is blunter.
            bootstrap = replace(bootstrap, memory_limit_bytes=0)
        lines = self._lines(spec, bootstrap.tokens)
        order = LaunchOrder(
            command=spec.command,
            declared=spec.env_allow,
            bootstrap=bootstrap,
            entrance=None if fence is None else fence.entrance,
            log_file=self.folders.log_file(spec.id) if bootstrap.host_loss is HostLoss.LINGER else None,
        )
        try:
            child = await self.launcher.launch(order, lines)
        except BaseException:
            self.folders.clear(spec.id, generation)
            if fence is not None:
                fence.remove()
            raise
        return self._instance(spec, bootstrap, child, on_trouble, fence)

    def adopt(self, spec: ConnectorSpec, generation: int, state: State, on_trouble: Callable[[str], None]) -> Instance:
        """Make the instance of a process that an earlier gateway launched."""
        bootstrap = Bootstrap(
            instance_id=spec.id,
            generation=generation,
            socket=state.socket,
            work_dir=self.folders.work_dir(spec.id),
            log_level=self.log_level,
            tokens=Tokens(state.gateway_token, state.connector_token),
            host_loss=HostLoss.LINGER,
        )
        lines = self._lines(spec, bootstrap.tokens)
        child = AdoptedProcess(state.identity, lines, LogTail(self.folders.log_file(spec.id), lines, from_end=True))
        limit = spec.overrides.apply(self.limits).memory_hard_bytes
        fence = self.fences.find(spec.id, generation, limit) if limit else None
        instance = self._instance(spec, bootstrap, child, on_trouble, fence)
        if bootstrap.health_socket.exists():
            instance.client.health.ask_at(bootstrap.health_socket)
        return instance

    def attach(self, spec: ConnectorSpec, generation: int, on_trouble: Callable[[str], None]) -> Instance:
        """Make the instance of a process that its author starts, and write down what that must know.

        Raises:
            StartFailed: There is no place for it.

        """
        try:
            bootstrap = self._bootstrap(spec, generation)
            if spec.settings.attach:
                write_private(self.folders.bootstrap_file(spec.id), bootstrap.line())
        except Unusable as error:
            raise StartFailed(str(error), ExitClass.CONFIG) from error
        except (OSError, GatewayError) as error:
            raise StartFailed(f"there is no place for its process: {error}", ExitClass.ERROR) from error
        return self._instance(spec, bootstrap, AuthorsProcess(self._lines(spec, bootstrap.tokens)), on_trouble)

    def keep(self, instance: Instance, digest: str) -> None:
        """Leave word of a process that may outlive this gateway."""
        bootstrap, identity = instance.bootstrap, identify(instance.child.pid)
        if bootstrap.host_loss is HostLoss.LINGER and identity is not None:
            state = State(
                pid=identity.pid,
                start_time=identity.start_time,
                boot_id=identity.boot_id,
                generation=instance.generation,
                socket=bootstrap.socket,
                gateway_token=bootstrap.tokens.gateway,
                connector_token=bootstrap.tokens.connector,
                digest=digest,
            )
            write_state(self.folders.state_file(bootstrap.instance_id, instance.generation), state)

    def _instance(
        self,
        spec: ConnectorSpec,
        bootstrap: Bootstrap,
        child: Body,
        on_trouble: Callable[[str], None],
        fence: Fence | None = None,
    ) -> Instance:
        elsewhere = spec.settings.elsewhere
        channel = open_channel(bootstrap.socket) if elsewhere is None else open_remote_channel(elsewhere)
        client = ConnectorClient(spec.id, bootstrap.generation, channel, bootstrap.tokens, child.lines, on_trouble)
        limits = spec.overrides.apply(self.limits)
        group = self.group if fence is None else fence.group
        return Instance(bootstrap.generation, child, client, bootstrap, self.folders, limits, group, fence)

    def _lines(self, spec: ConnectorSpec, tokens: Tokens) -> LastLines:
        limits = spec.overrides.apply(self.limits)
        lines = LastLines(lambda stream, line: self.hear(spec.id, stream, line), per_second=limits.log_lines_per_second)
        lines.hide((tokens.gateway, tokens.connector))
        return lines

    def _bootstrap(self, spec: ConnectorSpec, generation: int) -> Bootstrap:
        limits, elsewhere = spec.overrides.apply(self.limits), spec.settings.elsewhere
        self.folders.note_generation(spec.id, generation)
        return Bootstrap(
            instance_id=spec.id,
            generation=generation,
            socket=self.folders.prepare(spec.id, generation),
            work_dir=self.folders.work_dir(spec.id),
            log_level=self.log_level,
            tokens=Tokens() if elsewhere is None else elsewhere.tokens(),
            host_loss=limits.host_loss,
            linger=limits.linger,
            memory_limit_bytes=limits.memory_hard_bytes,
        )
