"""Stand between a connector and its platform: record what goes over the wire, or play it again."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from connector_sdk.testing.in_thread import in_thread
from connector_sdk.testing.recording.addresses import Addresses, origin
from connector_sdk.testing.recording.blots import Blots
from connector_sdk.testing.recording.cassette import Cassette, CassetteError, read_cassette, write_cassette
from connector_sdk.testing.recording.exchange import Recorded
from connector_sdk.testing.recording.forwarding import Forwarder
from connector_sdk.testing.recording.learned import learned
from connector_sdk.testing.recording.matching import Likeness
from connector_sdk.testing.recording.playing import Player
from connector_sdk.testing.recording.showing import Screen
from connector_sdk.testing.recording.tape import Tape

CONNECT_SECONDS = 10.0  # a platform that is there answers in milliseconds
SILENCE_SECONDS = 300.0  # a log that is followed may have nothing to say for so long
STOP_SECONDS = 0.2
"""How long answers under way may take once the test is over: some are followed for ever."""

HOST = "127.0.0.1"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class UnansweredError(AssertionError):
    """Say what a connector asked and was not recorded."""


class RecordedHttp:
    """What a connector is pointed at."""

    def __init__(
        self,
        addresses: Addresses,
        platforms: Sequence[str],
        credentials: Mapping[str, str],
        problems: Sequence[str],
        *,
        is_recording: bool,
    ) -> None:
        """Stand in for `platforms`."""
        self._addresses = addresses
        self._problems = problems
        self.url = addresses.local_text(platforms[0])
        """The connector's base URL."""
        self.credentials = {name: addresses.local_text(value) for name, value in credentials.items()}
        """What `connect` is given: the platform's own while it is recorded, placeholders afterwards."""
        self.is_recording = is_recording
        self.is_kept = True
        """Whether what is recorded is to be written; a test that failed has nothing to keep."""

    def url_of(self, address: str) -> str:
        """Return where an address of a platform is found here."""
        return self._addresses.local_text(address)

    def check(self) -> None:
        """Raise `UnansweredError` if something was asked to which there is no answer."""
        if self._problems:
            raise UnansweredError("\n\n".join(self._problems))


@contextmanager
def record_http(
    path: Path,
    *,
    platform: str = "",
    others: Sequence[str] = (),
    credentials: Mapping[str, str] | None = None,
    hide: Collection[str] = (),
) -> Iterator[RecordedHttp]:
    """Pass everything on to a platform, and write it to a cassette when the block ends well.

    Args:
        path: The cassette.
        platform: Where the platform is; empty = the first of the credentials that is an address.
        others: Further addresses that the connector uses, such as a storage's.
        credentials: What the connector is given. No value of it is written, other than addresses.
        hide: Names of further headers, parameters and fields that are secrets.

    Raises:
        CassetteError: There is no address, or the cassette would hold a secret.

    """
    given = dict(credentials or {})
    platforms = [address for address in (platform, *given.values(), *others) if origin(address)]
    if not platforms:
        raise CassetteError("Nothing says where the platform is: name it, or give the credentials an address.")
    screen = Screen(Blots(_secrets(given)), frozenset(hide))
    with in_thread(_recording(platforms, screen)) as (forwarder, addresses):
        recorded = RecordedHttp(addresses, platforms, given, forwarder.problems, is_recording=True)
        yield recorded
    if recorded.is_kept and not forwarder.problems:
        write_cassette(path, _written(platforms, given, forwarder.recorded, frozenset(hide)))


@contextmanager
def replay_http(
    path: Path,
    *,
    credentials: Mapping[str, str] | None = None,
    ignore: Collection[str] = (),
    hide: Collection[str] = (),
) -> Iterator[RecordedHttp]:
    """Answer from a cassette; no byte leaves this machine.

    Args:
        path: The cassette.
        credentials: What the connector is given in place of placeholders.
        ignore: Names of parameters and fields that may be others in each run.
        hide: As it was recorded with.

    Raises:
        CassetteError: The cassette is missing, or none.

    """
    cassette = read_cassette(path)
    given = {**cassette.credentials, **(credentials or {})}
    likeness = Likeness(frozenset(ignore))
    screen = Screen(Blots(_secrets(given)), frozenset(hide))
    with in_thread(_playing(cassette, likeness, screen)) as (player, addresses):
        yield RecordedHttp(addresses, cassette.platforms, given, player.problems, is_recording=False)


def _written(
    platforms: Sequence[str], given: Mapping[str, str], exchanges: Sequence[Recorded], hide: frozenset[str]
) -> str:
    """Return the text of a cassette, from which every secret is gone."""
    declared = Blots(_secrets(given))
    # What has a declared secret in it is hidden with that, as it is when it is replayed.
    minted = ((name, value) for name, value in learned(exchanges, hide) if declared.text(value) == value)
    blots = Blots([*_secrets(given), *minted])
    screen = Screen(blots, hide)
    cassette = Cassette(
        platforms=list(dict.fromkeys(map(blots.text, platforms))),
        credentials={name: blots.text(value) for name, value in given.items()},
        exchanges=[screen.exchange(one, one.answered) for one in exchanges if one.answered is not None],
    )
    text = cassette.as_text()
    if secret := blots.found(text):
        raise CassetteError(f"The cassette is not written: it would hold the secret that {secret} stands for.")
    return text


def _secrets(credentials: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in credentials.items() if not origin(value)]


@asynccontextmanager
async def _recording(platforms: Sequence[str], screen: Screen) -> AsyncIterator[tuple[Forwarder, Addresses]]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
    async with aiohttp.ClientSession(
        timeout=timeout,
        # Made here and now, so that SSL_CERT_FILE counts whenever it was set.
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
    ) as session:
        with socket.create_server((HOST, 0)) as listener:
            addresses = Addresses(platforms, _address(listener))
            forwarder = Forwarder(session, addresses, screen)
            async with _served(listener, forwarder.handle):
                yield forwarder, addresses


@asynccontextmanager
async def _playing(cassette: Cassette, likeness: Likeness, screen: Screen) -> AsyncIterator[tuple[Player, Addresses]]:
    with socket.create_server((HOST, 0)) as listener:
        addresses = Addresses(cassette.platforms, _address(listener))
        player = Player(Tape(cassette.exchanges, likeness), likeness, screen, addresses)
        async with _served(listener, player.handle):
            yield player, addresses


def _address(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


@asynccontextmanager
async def _served(listener: socket.socket, handler: Handler) -> AsyncIterator[None]:
    # A stream whose connector has left ends with it, however long the platform is silent.
    runner = web.ServerRunner(web.Server(handler, handler_cancellation=True), shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()
