"""`peftstudio connectors`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import typer

from gateway.cli import printing, words
from gateway.cli.options import ConnectorRef, Json, examples
from gateway.cli.running import run

if TYPE_CHECKING:
    from gateway.client import Client
    from peftstudio.gateway.v1.connectors_service_pb2 import Connector, Death, GetDiagnosticsResponse


SHOWN_CALLS = 10
"""Of the last calls before a death: the rest is in its record."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Connectors: the programs that speak to platforms. Alone, it lists them.")
    group.callback(invoke_without_command=True)(list_alone)
    group.command("list", epilog=examples("peftstudio connectors list"))(list_connectors)
    group.command("get", epilog=examples("peftstudio connectors get runpod"))(get)
    group.command("inspect", epilog=examples("peftstudio connectors inspect runpod"))(inspect)
    group.command("enable", epilog=examples("peftstudio connectors enable runpod"))(enable)
    group.command("disable", epilog=examples("peftstudio connectors disable runpod"))(disable)
    group.command("restart", epilog=examples("peftstudio connectors restart runpod"))(restart)
    group.command("diagnose", epilog=examples("peftstudio connectors diagnose runpod"))(diagnose)
    group.command("watch", epilog=examples("peftstudio connectors watch", "peftstudio connectors watch runpod"))(watch)
    app.add_typer(group, name="connectors")


def list_alone(context: typer.Context) -> None:
    """List the connectors where nothing else is asked for."""
    if context.invoked_subcommand is None:
        list_connectors(context)


def list_connectors(context: typer.Context, as_json: Json = False) -> None:
    """List the connectors that the gateway knows."""

    async def action(client: Client) -> None:
        if as_json:
            await printing.print_json_array(client.connectors.list())
            return

        rows: list[list[printing.Cell]] = [
            [
                one.id,
                words.coloured(state(one)),
                words.age(one.state_since),
                str(one.restarts),
                words.size(one.memory_bytes) if one.memory_bytes else "",
                f"{one.cpu_seconds:.1f} s" if one.pid else "",
                words.moment(one.next_attempt_at),
                one.message or (one.last_cause and f"last death: {one.last_cause}"),
            ]
            async for one in client.connectors.list()
        ]
        columns = ["CONNECTOR", "STATE", "SINCE", "RESTARTS", "MEMORY", "CPU", "NEXT START", "MESSAGE"]
        printing.print_table(columns, rows, empty="the gateway knows no connectors")

    run(context, action)


def get(context: typer.Context, connector: ConnectorRef, as_json: Json = False) -> None:
    """Show a connector with all that it says of itself; starts it where it has never run."""

    async def action(client: Client) -> None:
        show(await client.connectors.get(connector), as_json=as_json)

    run(context, action)


def inspect(context: typer.Context, connector: ConnectorRef, as_json: Json = False) -> None:
    """Show all that is known of a connector, its process and its deaths; starts nothing."""

    async def action(client: Client) -> None:
        known = await client.connectors.diagnose(connector)
        if as_json:
            printing.print_json(known)
            return

        show(known.connector, as_json=False)
        for death in known.deaths:
            printing.print_line(_death_in_words(death))
        _show_last_lines(known)

    run(context, action)


def enable(context: typer.Context, connector: ConnectorRef, as_json: Json = False) -> None:
    """Let a disabled connector run again."""

    async def action(client: Client) -> None:
        show(await client.connectors.enable(connector), as_json=as_json)

    run(context, action)


def disable(context: typer.Context, connector: ConnectorRef, as_json: Json = False) -> None:
    """Stop a connector and keep it stopped; jobs go on where they run."""

    async def action(client: Client) -> None:
        show(await client.connectors.disable(connector), as_json=as_json)

    run(context, action)


def restart(context: typer.Context, connector: ConnectorRef, as_json: Json = False) -> None:
    """Stop a connector's process in order and start another."""

    async def action(client: Client) -> None:
        show(await client.connectors.restart(connector), as_json=as_json)

    run(context, action)


def diagnose(context: typer.Context, connector: ConnectorRef, as_json: Json = False) -> None:
    """Show the flight records of a connector's last deaths, and the last lines that it printed."""

    async def action(client: Client) -> None:
        known = await client.connectors.diagnose(connector)
        if as_json:
            printing.print_json(known)
            return

        printing.print_line(f"{known.connector.id} is {state(known.connector)} {known.connector.message}".rstrip())
        for death in known.deaths:
            _show_death(death)
        _show_last_lines(known)

    run(context, action)


def watch(
    context: typer.Context,
    connector: str = typer.Argument("", metavar="[CONNECTOR]", help="Only this one."),
    as_json: Json = False,
) -> None:
    """Show connectors now and whenever one changes, until interrupted."""

    async def action(client: Client) -> None:
        async with aclosing(client.connectors.watch(connector)) as changes:
            async for one in changes:
                if as_json:
                    printing.print_json_line(one)
                else:
                    printing.print_line(
                        f"{words.moment(one.state_since):19}  {one.id}  {state(one)}  {one.message}".rstrip()
                    )

    run(context, action)


def show(one: Connector, *, as_json: bool) -> None:
    """Print one connector."""
    if as_json:
        printing.print_json(one)
        return

    printing.print_details(
        [
            ("connector", one.id),
            ("name", one.display_name),
            ("description", one.description),
            ("version", one.version),
            ("state", words.coloured(state(one))),
            ("message", one.message),
            ("since", words.moment(one.state_since)),
            ("next start", words.moment(one.next_attempt_at)),
            ("process", f"{one.pid} (number {one.generation}, {one.restarts} restarts)" if one.pid else ""),
            ("memory", words.size(one.memory_bytes) if one.memory_bytes else ""),
            ("processor", f"{one.cpu_seconds:.1f} s" if one.pid else ""),
            ("last death", one.last_cause),
            ("changed files", one.reload),
            ("origin", one.origin),
            ("digest", one.digest),
            ("features", ", ".join(one.features)),
            ("capabilities", ", ".join(one.capabilities)),
            ("algorithms", ", ".join(one.algorithms)),
            ("credentials", ", ".join(_names(one, "credentials_schema"))),
            ("options", ", ".join(_names(one, "options_schema"))),
            ("documentation", one.documentation_url),
        ]
    )


def state(one: Connector) -> str:
    """Return where a connector's process is, as a word."""
    from peftstudio.gateway.v1.connectors_service_pb2 import ConnectorState

    if one.state not in ConnectorState.values():
        return str(one.state)

    return words.word(ConnectorState.Name(one.state), "CONNECTOR_STATE_")


def _names(one: Connector, field: str) -> list[str]:
    from gateway.cli.credentials import properties_of

    return list(properties_of(one.credentials_schema if field == "credentials_schema" else one.options_schema))


def _show_death(death: Death) -> None:
    printing.print_line(_death_in_words(death))
    for text in death.last_lines:
        printing.print_line(f"  | {text}")
    for text in _evidence(json.loads(death.record or "{}")):
        printing.print_line(f"  {text}")


def _death_in_words(death: Death) -> str:
    how = death.signal or (f"exit code {death.exit_code}" if death.HasField("exit_code") else "")
    line = f"{words.moment(death.time)}  process {death.generation} died: {death.exit_class} {how}; {death.decision}"
    return line.strip()


def _show_last_lines(known: GetDiagnosticsResponse) -> None:
    # Those of a process that died are shown with its death.
    if known.connector.pid:
        for line in known.last_lines:
            printing.print_line(f"  | {line}")


def _evidence(record: dict[str, Any]) -> Iterator[str]:
    """Say in lines what a flight record knows besides the last lines."""
    if found := record.get("out_of_memory"):
        yield f"memory: {found}"
    if curve := record.get("memory"):
        first, last = curve[0], curve[-1]
        grown = f"{words.size(first['memory_bytes'])} to {words.size(last['memory_bytes'])}"
        yield f"memory: {grown} within {last['seconds'] - first['seconds']:.0f} s"
    for call in record.get("calls", [])[-SHOWN_CALLS:]:
        yield f"call: {call['method']} {call['milliseconds']:.1f} ms {call['outcome']}"
    for line in record.get("stacks", "").splitlines():
        yield f"stack: {line}"
    if record.get("next_attempt"):
        yield f"next start: {record['next_attempt']}"
