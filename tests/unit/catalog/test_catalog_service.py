from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.catalog.model import Model, PriceUnit, Requirements, Resource, ResourceType
from gateway.catalog.service import ANSWER_TIME, LIFETIME, Catalog
from gateway.connections.model import Connection
from gateway.errors import GatewayError, InvalidRequest, NotFound, Reason, Unsupported
from tests.support.clocks import FakeClock, LoopTime
from tests.support.fake_platform import FakePlatform, FakePlatforms, hourly

pytestmark = pytest.mark.unit
SMALL = Resource(id="small", name="A10", type=ResourceType.GPU, gpu_type="A10", gpu_count=1, vram_gb=24)
LARGE = Resource(id="large", name="4xH100", type=ResourceType.GPU, gpu_type="H100", gpu_count=4, vram_gb=80)
PLAIN = Resource(id="plain", name="CPU", type=ResourceType.CPU, cpu_cores=8)


class Connections:
    """A directory of three connections."""

    def __init__(self) -> None:
        made = datetime(2027, 1, 1, tzinfo=UTC)
        self.known = [Connection(id=f"conn-{n}", connector_id=f"c{n}", name=n, created_at=made) for n in "abc"]

    async def get(self, id_or_name: str) -> Connection:
        for connection in self.known:
            if id_or_name in (connection.id, connection.name):
                return connection
        raise NotFound("connection", id_or_name)

    async def all(self) -> list[Connection]:
        return self.known


@dataclass
class Bench:
    catalog: Catalog
    platforms: FakePlatforms
    clock: FakeClock

    def platform(self, name: str) -> FakePlatform:
        return self.platforms.by_connection[f"conn-{name}"]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    platforms = FakePlatforms({f"conn-{name}": FakePlatform() for name in "abc"})
    clock = FakeClock()
    catalog = Catalog(platforms, Connections(), clock)
    made = Bench(catalog, platforms, clock)
    made.platform("a").machines = [SMALL, LARGE]
    made.platform("a").prices = {"small": hourly("small", 600_000), "large": hourly("large", 8_000_000)}
    made.platform("b").machines = [replace(SMALL, available=False), PLAIN]
    made.platform("b").prices = {"small": hourly("small", 500_000), "plain": hourly("plain", 10_000)}
    made.platform("c").machines = [SMALL]
    made.platform("c").prices = {"small": replace(hourly("small", 0), not_priced=True)}
    yield made
    await catalog.close()


async def test_machines_are_listed_by_id_and_asked_for_once_a_minute(bench: Bench) -> None:
    assert await bench.catalog.resources("a") == [LARGE, SMALL]
    await bench.catalog.resources("conn-a")
    assert bench.platform("a").count("resources") == 1
    bench.clock.advance(LIFETIME.total_seconds())
    await bench.catalog.resources("a")
    assert bench.platform("a").count("resources") == 2


async def test_many_who_ask_at_once_share_one_question_and_may_leave(bench: Bench) -> None:
    gate = bench.platform("a").faults.gate = asyncio.Event()
    asking = [asyncio.ensure_future(bench.catalog.price("a", "small")) for _ in range(5)]
    await asyncio.wait(asking, timeout=0)
    asking.pop().cancel()
    gate.set()
    assert {price.amount_micros for price in await asyncio.gather(*asking)} == {600_000}
    assert bench.platform("a").count("price") == 1


async def test_a_question_that_failed_is_asked_again(bench: Bench) -> None:
    bench.platform("a").faults.is_down = True
    with pytest.raises(GatewayError):
        await bench.catalog.resources("a")
    bench.platform("a").faults.is_down = False
    assert await bench.catalog.resources("a")


async def test_offers_come_free_ones_first_then_the_cheapest(bench: Bench) -> None:
    found = await bench.catalog.compare(Requirements(duration=timedelta(hours=2)))
    assert [(offer.connection_id, offer.resource.id, offer.estimate_micros) for offer in found.offers] == [
        ("conn-c", "small", None),
        ("conn-b", "plain", 20_000),
        ("conn-b", "small", 1_000_000),
        ("conn-a", "small", 1_200_000),
        ("conn-a", "large", 16_000_000),
    ]
    assert found.offers[-1].micros_per_gpu_hour == 2_000_000
    assert found.errors == ()
    assert found.as_of == bench.clock.now()


@pytest.mark.parametrize(
    ("wanted", "machines"),
    [
        (Requirements(type=ResourceType.CPU), ["b/plain"]),
        (Requirements(gpu_type="h100"), ["a/large"]),
        (Requirements(min_gpu_count=2), ["a/large"]),
        (Requirements(min_vram_gb=48), ["a/large"]),
        (Requirements(gpu_type="A10", available_only=True), ["c/small", "a/small"]),
        (Requirements(connection_ids=("b", "conn-b"), gpu_type="a10"), ["b/small"]),
    ],
)
async def test_only_machines_that_meet_the_requirements_are_offered(
    bench: Bench, wanted: Requirements, machines: list[str]
) -> None:
    found = await bench.catalog.compare(wanted)
    assert [f"{offer.connection_id[-1]}/{offer.resource.id}" for offer in found.offers] == machines


async def test_whoever_cannot_be_asked_is_named_and_the_others_are_compared(bench: Bench) -> None:
    bench.platform("b").faults.is_unauthorized = True
    del bench.platform("a").prices["large"]
    found = await bench.catalog.compare(Requirements())
    assert [offer.connection_id for offer in found.offers] == ["conn-c", "conn-a"]
    assert [(error.connection_id, error.reason) for error in found.errors] == [
        ("conn-a", "NOT_FOUND"),
        ("conn-b", "CREDENTIALS_REJECTED"),
    ]


async def test_a_platform_that_does_not_answer_costs_its_own_offers_only(bench: Bench) -> None:
    bench.platform("a").faults.gate = asyncio.Event()
    comparing = asyncio.create_task(bench.catalog.compare(Requirements()))
    await LoopTime().advance(ANSWER_TIME.total_seconds())
    found = await comparing
    assert {offer.connection_id for offer in found.offers} == {"conn-b", "conn-c"}
    assert [(error.connection_id, error.reason) for error in found.errors] == [("conn-a", "PLATFORM_TIMEOUT")]


async def test_an_estimate_comes_with_its_price(bench: Bench) -> None:
    amount, price = await bench.catalog.estimate("a", "large", timedelta(minutes=30))
    assert (amount, price) == (4_000_000, bench.platform("a").prices["large"])
    with pytest.raises(InvalidRequest):
        await bench.catalog.estimate("a", "large", timedelta(seconds=-1))
    bench.platform("a").prices["small"] = replace(hourly("small", 1), unit=PriceUnit.TOKEN)
    with pytest.raises(Unsupported):
        await bench.catalog.estimate("a", "small", timedelta(hours=1))


async def test_models_are_searched_and_found(bench: Bench) -> None:
    llama, qwen = Model(b"llama"), Model(b"qwen")
    bench.platform("a").models = {"org/llama-1b": llama, "org/qwen": qwen}
    assert await bench.catalog.search_models("a", "llama", 10) == [llama]
    assert await bench.catalog.model("a", "org/qwen") == qwen
    with pytest.raises(NotFound):
        await bench.catalog.model("a", "none")
    with pytest.raises(NotFound):
        await bench.catalog.resources("unknown")


async def test_rejected_credentials_pass_through(bench: Bench) -> None:
    bench.platform("a").faults.is_unauthorized = True
    with pytest.raises(GatewayError) as caught:
        await bench.catalog.search_models("a", "x", 1)
    assert caught.value.reason is Reason.CREDENTIALS_REJECTED
