"""`peftstudio deployments`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import printing, words
from gateway.cli.exit_codes import ExitCode
from gateway.cli.json_text import read_object
from gateway.cli.options import Json, examples
from gateway.cli.running import CommandError, run

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.gateway.v1.deployments_service_pb2 import Deployment

DeploymentRef = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Id of the deployment.")]
Connection = Annotated[str, typer.Option("--connection", "-c", help="Name or id of the connection.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Models behind endpoints, which cost money until they are stopped.", no_args_is_help=True)
    example = "peftstudio deployments create me/adapter -c runpod --options '{\"replicas\": 1}'"
    group.command("create", epilog=examples(example))(create)
    group.command("list", epilog=examples("peftstudio deployments list --all"))(list_deployments)
    group.command("get", epilog=examples("peftstudio deployments get dep-1m8"))(get)
    group.command("update", epilog=examples("peftstudio deployments update dep-1m8 '{\"replicas\": 2}'"))(update)
    group.command("stop", epilog=examples("peftstudio deployments stop dep-1m8"))(stop)
    group.command("invoke", epilog=examples('peftstudio deployments invoke dep-1m8 \'{"prompt": "Hi"}\''))(invoke)
    group.command("metrics", epilog=examples("peftstudio deployments metrics dep-1m8"))(metrics)
    app.add_typer(group, name="deployments")


def create(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Id in the platform's registry, as `artifacts put` printed it.")],
    connection: Connection,
    base_model: Annotated[str, typer.Option(help="The model that an adapter belongs to.")] = "",
    resource: Annotated[str, typer.Option(help="The machine; the platform's choice where none is given.")] = "",
    options: Annotated[str, typer.Option(metavar="JSON", help="The platform's own options.")] = "{}",
    as_json: Json = False,
) -> None:
    """Deploy a model, and wait until the platform did."""

    async def action(client: Client) -> None:
        wanted = read_object(options, "--options")
        made = await client.deployments.create(
            connection, model, base_model=base_model, resource_id=resource, options=wanted
        )
        show(made, as_json=as_json)
        if (state := _state(made)) in ("failed", "in_doubt"):
            raise CommandError(f"{made.id} is {state}: {made.message}", ExitCode.ERROR)

    run(context, action)


def list_deployments(
    context: typer.Context,
    connection: Annotated[str, typer.Option("--connection", "-c", help="Only those of this connection.")] = "",
    include_ended: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    as_json: Json = False,
) -> None:
    """List deployments, oldest first."""

    async def action(client: Client) -> None:
        found = client.deployments.list(connection, include_ended=include_ended)
        if as_json:
            await printing.print_json_array(found)
            return

        rows: list[list[printing.Cell]] = [
            [one.id, words.coloured(_state(one)), one.connector_id, one.model, one.endpoint_url, one.message]
            async for one in found
        ]
        columns = ["DEPLOYMENT", "STATE", "CONNECTOR", "MODEL", "ENDPOINT", "MESSAGE"]
        printing.print_table(columns, rows, empty="no deployments")

    run(context, action)


def get(context: typer.Context, deployment: DeploymentRef, as_json: Json = False) -> None:
    """Show a deployment."""

    async def action(client: Client) -> None:
        show(await client.deployments.get(deployment), as_json=as_json)

    run(context, action)


def update(
    context: typer.Context,
    deployment: DeploymentRef,
    changes: Annotated[str, typer.Argument(metavar="JSON", help="Options with their new values.")],
    as_json: Json = False,
) -> None:
    """Change a deployment's options; those that are left out stay."""

    async def action(client: Client) -> None:
        wanted = read_object(changes, "JSON")
        show(await client.deployments.update(deployment, wanted), as_json=as_json)

    run(context, action)


def stop(context: typer.Context, deployment: DeploymentRef, as_json: Json = False) -> None:
    """Stop a deployment; a platform that does not obey is asked again until it does."""

    async def action(client: Client) -> None:
        show(await client.deployments.stop(deployment), as_json=as_json)

    run(context, action)


def invoke(
    context: typer.Context,
    deployment: DeploymentRef,
    question: Annotated[str, typer.Argument(metavar="JSON", help="What it is asked, in the platform's own form.")],
) -> None:
    """Ask a deployed model, and print its answer as JSON."""

    async def action(client: Client) -> None:
        answer = await client.deployments.invoke(deployment, read_object(question, "JSON"))
        printing.print_line(json.dumps(answer, indent=2))

    run(context, action)


def metrics(context: typer.Context, deployment: DeploymentRef) -> None:
    """Print what the platform measures, as JSON."""

    async def action(client: Client) -> None:
        printing.print_line(json.dumps(await client.deployments.metrics(deployment), indent=2))

    run(context, action)


def show(one: Deployment, *, as_json: bool) -> None:
    """Print one deployment."""
    if as_json:
        printing.print_json(one)
        return

    printing.print_details(
        [
            ("deployment", one.id),
            ("state", words.coloured(_state(one))),
            ("message", one.message),
            ("connector", one.connector_id),
            ("model", one.model),
            ("base model", one.base_model),
            ("resource", one.resource_id),
            ("endpoint", one.endpoint_url),
            ("platform's id", one.platform_deployment_id),
            ("made", words.moment(one.created_at)),
            ("stopped", words.moment(one.stopped_at)),
        ]
    )


def _state(one: Deployment) -> str:
    from peftstudio.gateway.v1.deployments_service_pb2 import DeploymentState

    if one.state not in DeploymentState.values():
        return str(one.state)

    return words.word(DeploymentState.Name(one.state), "DEPLOYMENT_STATE_")
