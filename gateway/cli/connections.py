"""`peftstudio connections`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import printing, words
from gateway.cli.credentials import read_credentials
from gateway.cli.options import ConnectionRef, ConnectorRef, Json, examples
from gateway.cli.running import run

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.gateway.v1.connections_service_pb2 import Connection

CredentialsFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="JSON object of credentials; - reads stdin. Without it they are asked for."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Connections: your accounts on platforms.", no_args_is_help=True)
    group.command(
        "connect",
        epilog=examples(
            "peftstudio connections connect runpod --name mine",
            "pass show runpod.json | peftstudio connections connect runpod --credentials-file -",
        ),
    )(connect)
    group.command("list", epilog=examples("peftstudio connections list --connector runpod"))(list_connections)
    group.command("get", epilog=examples("peftstudio connections get mine"))(get)
    group.command("verify", epilog=examples("peftstudio connections verify mine"))(verify)
    group.command("rotate", epilog=examples("peftstudio connections rotate mine"))(rotate)
    group.command("disconnect", epilog=examples("peftstudio connections disconnect mine --force"))(disconnect)
    app.add_typer(group, name="connections")


def connect(
    context: typer.Context,
    connector: ConnectorRef,
    name: Annotated[str, typer.Option(help="Name for the connection; the connector's id where none is given.")] = "",
    credentials_file: CredentialsFile = None,
    as_json: Json = False,
) -> None:
    """Connect an account: the platform checks the credentials, the gateway keeps them encrypted."""

    async def action(client: Client) -> None:
        described = await client.connectors.get(connector)
        credentials = read_credentials(credentials_file, described.credentials_schema)
        show(await client.connections.connect(connector, credentials, name=name), as_json=as_json)

    run(context, action)


def list_connections(
    context: typer.Context,
    connector: Annotated[str, typer.Option(help="Only those of this connector.")] = "",
    as_json: Json = False,
) -> None:
    """List connections, oldest first."""

    async def action(client: Client) -> None:
        if as_json:
            await printing.print_json_array(client.connections.list(connector))
            return

        rows: list[list[printing.Cell]] = [
            [one.name or one.id, one.connector_id, words.coloured(_state(one)), one.account, one.message]
            async for one in client.connections.list(connector)
        ]
        columns = ["CONNECTION", "CONNECTOR", "STATE", "ACCOUNT", "MESSAGE"]
        printing.print_table(columns, rows, empty="no connections; make one: peftstudio connections connect CONNECTOR")

    run(context, action)


def get(context: typer.Context, connection: ConnectionRef, as_json: Json = False) -> None:
    """Show a connection."""

    async def action(client: Client) -> None:
        show(await client.connections.get(connection), as_json=as_json)

    run(context, action)


def verify(context: typer.Context, connection: ConnectionRef, as_json: Json = False) -> None:
    """Ask the platform whether the credentials still hold."""

    async def action(client: Client) -> None:
        show(await client.connections.verify(connection), as_json=as_json)

    run(context, action)


def rotate(
    context: typer.Context,
    connection: ConnectionRef,
    credentials_file: CredentialsFile = None,
    as_json: Json = False,
) -> None:
    """Replace the credentials; jobs go on."""

    async def action(client: Client) -> None:
        known = await client.connections.get(connection)
        described = await client.connectors.get(known.connector_id)
        credentials = read_credentials(credentials_file, described.credentials_schema)
        show(await client.connections.rotate(connection, credentials), as_json=as_json)

    run(context, action)


def disconnect(
    context: typer.Context,
    connection: ConnectionRef,
    force: Annotated[bool, typer.Option("--force", help="Even while it has open jobs or deployments.")] = False,
) -> None:
    """Close a connection and delete its credentials for good."""

    async def action(client: Client) -> None:
        await client.connections.disconnect(connection, force=force)
        printing.stderr().print(f"{connection} is disconnected; its credentials are gone")

    run(context, action)


def show(one: Connection, *, as_json: bool) -> None:
    """Print one connection."""
    if as_json:
        printing.print_json(one)
        return

    printing.print_details(
        [
            ("connection", one.name or one.id),
            ("id", one.id),
            ("connector", one.connector_id),
            ("account", one.account),
            ("state", words.coloured(_state(one))),
            ("message", one.message),
            ("made", words.moment(one.created_at)),
            ("verified", words.age(one.verified_at)),
        ]
    )


def _state(one: Connection) -> str:
    from peftstudio.gateway.v1.connections_service_pb2 import ConnectionState

    if one.state not in ConnectionState.values():
        return str(one.state)

    return words.word(ConnectionState.Name(one.state), "CONNECTION_STATE_")
