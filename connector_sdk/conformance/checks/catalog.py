"""Machines, prices and models."""

from __future__ import annotations

import re

from connector_sdk.conformance.check import FailedCheck, SkippedCheck, advise, check, expect
from connector_sdk.conformance.trial import Trial
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.resource_pb2 import Price, PriceUnit, Resource

CURRENCY = re.compile(r"[A-Z]{3}")
MOST_PRICES = 5  # machines that are asked for


@check("resources.listed", remedy="Give each kind of machine an id of its own.")
async def listed(trial: Trial) -> None:
    """Every machine has an id of its own, and a name."""
    ids = [one.id for one in await _resources(trial)]
    expect(all(ids) and len(set(ids)) == len(ids), f"ids are {ids}")
    nameless = [one.id for one in await _resources(trial) if not one.name]
    advise(not nameless, f"{', '.join(nameless)} has no name")


@check("resources.sizes", remedy="Counts and memory are numbers from 0; a machine with a GPU has at least one.")
async def sizes(trial: Trial) -> None:
    """Counts and sizes of machines are not negative."""
    for one in await _resources(trial):
        amounts = (one.gpu_count, one.vram_gb, one.cpu_cores, one.ram_gb)
        expect(all(0 <= amount < 1e9 for amount in amounts), f"{one.id} has {amounts}")


@check("prices.told", remedy="Tell what each machine costs, or not_priced where the platform does not charge.")
async def told(trial: Trial) -> None:
    """Every machine that is listed has a price, or is not priced."""
    await _prices(trial)


@check("prices.amounts", remedy="Amounts are millionths of the currency per unit: 1.89 an hour is 1890000.")
async def amounts(trial: Trial) -> None:
    """Amounts are not negative, and their unit is one of the contract's."""
    for price in await _prices(trial):
        parts = (price.amount_micros, price.spot_amount_micros, price.billing_increment_seconds, price.minimum_seconds)
        expect(all(part >= 0 for part in parts), f"{price.resource_id} costs {parts}")
        expect(price.unit in PriceUnit.values(), f"the unit of {price.resource_id} is {price.unit}")


@check("prices.currency", remedy="Give the currency's ISO 4217 code: USD, EUR …")
async def currency(trial: Trial) -> None:
    """A price has the ISO 4217 code of its currency."""
    for price in await _prices(trial):
        is_code = price.not_priced or bool(CURRENCY.fullmatch(price.currency))
        expect(is_code, f"the currency of {price.resource_id} is {price.currency!r}")


@check("prices.of_what", remedy="Answer with the resource_id that was asked for.")
async def of_what(trial: Trial) -> None:
    """A price says which machine it is of."""
    resources = await _resources(trial)
    for resource, price in zip(resources, await _prices(trial), strict=False):
        expect(price.resource_id == resource.id, f"that of {resource.id} says {price.resource_id!r}")


@check("models.searched", remedy="Give at most as many models as `limit` says, each with an id.")
async def searched(trial: Trial) -> None:
    """A search gives at most as many models as wanted, each with an id."""
    await trial.capable_of("search_models")
    request = pb.SearchModelsRequest(connection_id=await trial.connection(), query="a", limit=3)
    models = (await (await trial.wire()).ask(request, pb.SearchModelsResponse)).models
    expect(len(models) <= 3, f"3 were wanted, and {len(models)} came")
    expect(all(model.id for model in models), "one has no id")


@check("models.told", remedy="Give the details of every model that a search finds.")
async def details(trial: Trial) -> None:
    """A model that a search finds can be asked for."""
    for capability in ("search_models", "get_model_metadata"):
        await trial.capable_of(capability)
    connection, wire = await trial.connection(), await trial.wire()
    search = pb.SearchModelsRequest(connection_id=connection, query="a", limit=1)
    models = (await wire.ask(search, pb.SearchModelsResponse)).models
    if not models:
        raise SkippedCheck("the search found none")
    request = pb.GetModelMetadataRequest(connection_id=connection, model_id=models[0].id)
    said = (await wire.ask(request, pb.GetModelMetadataResponse)).model
    expect(said.id == models[0].id, f"asked for {models[0].id!r}, it tells of {said.id!r}")


async def _resources(trial: Trial) -> list[Resource]:
    async def ask() -> list[Resource]:
        request = pb.ListResourcesRequest(connection_id=await trial.connection())
        return list((await (await trial.wire()).ask(request, pb.ListResourcesResponse)).resources)

    found = await trial.facts.get("a list of machines", ask)
    if not found:
        raise SkippedCheck("it lists no machines")
    return found


async def _prices(trial: Trial) -> list[Price]:
    async def ask() -> list[Price]:
        connection, wire = await trial.connection(), await trial.wire()
        prices = []
        for one in (await _resources(trial))[:MOST_PRICES]:
            request = pb.GetPricingRequest(connection_id=connection, resource_id=one.id)
            said = await wire.ask(request, pb.GetPricingResponse)
            if not said.HasField("price"):
                raise FailedCheck(f"{one.id} has no price; say not_priced where nothing is charged")
            prices.append(said.price)
        return prices

    return await trial.facts.get("prices", ask)
