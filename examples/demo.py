"""Train a real LoRA adapter through the gateway, with the very commands that you would type.

`make demo`, or `make demo ARGS='--model Qwen/Qwen3-0.6B'` where there is a network. All files are under `.demo/`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.rule import Rule

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DEMO = ROOT / ".demo"
GATEWAY = DEMO / "gateway"
PEFTSTUDIO = Path(sys.executable).with_name("peftstudio")
HELD_OUT = HERE / "datasets" / "elements_heldout.jsonl"
PROMPT = "Question: What kind of element is rhenium?\nAnswer:"
"""One of the held-out questions: the training data has others about rhenium, and this one about other elements."""
START_SECONDS = 60
"""How long the gateway may take to start on a cold disk."""

console = Console(highlight=False)


def main() -> None:
    arguments = parse()
    os.chdir(ROOT)
    DEMO.mkdir(exist_ok=True)
    os.environ["PEFTSTUDIO_DATA_DIR"] = str(GATEWAY.relative_to(ROOT))
    # Two cores that have other work, too: threads that wait should sleep, not spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    began = time.monotonic()
    model = arguments.model or base_model()
    adapter = DEMO / "adapter"
    with gateway():
        job = train(model)
        say("Download the adapter, verified")
        peftstudio("artifacts", "get", job, "--all", "--out", str(adapter.relative_to(ROOT)))
        if console.is_terminal:
            # In a pipe it prints every point.
            peftstudio("jobs", "metrics", job)
    say("Load the adapter with peft, and compare")
    evaluate(model, adapter)
    farewell(model, adapter, job, time.monotonic() - began)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="hub id or folder of a base model; without it a small one is made")
    return parser.parse_args()


def base_model() -> str:
    """Make a small language model, once."""
    folder = DEMO / "base-model"
    if not (folder / "config.json").exists():
        say("Make a small base model (no download)")
        run(sys.executable, "examples/base_model.py", str(folder.relative_to(ROOT)))
    # The connector's process has a working directory of its own: the path must mean the same everywhere.
    return str(folder)


def train(model: str) -> str:
    say("Connect this machine, and look at what it offers")
    names = [connection["name"] for connection in answer("connections", "list", "--json")]
    if "local" not in names:
        peftstudio("connections", "connect", "local")
    peftstudio("resources", "local")
    say("Train: the dataset is uploaded, the job submitted, its log followed")
    data = (HERE / "datasets" / "elements.jsonl").relative_to(ROOT)
    peftstudio("jobs", "submit", "-f", "examples/lora.yaml", "-c", "local", "-m", model, "-d", str(data), "--follow")
    newest: str = answer("jobs", "list", "--json")[0]["id"]
    return newest


def evaluate(model: str, adapter: Path) -> None:
    where = ["--base-model", model, "--adapter", str(adapter.relative_to(ROOT))]
    run(sys.executable, "examples/evaluate.py", *where, "--data", str(HELD_OUT.relative_to(ROOT)), "--prompt", PROMPT)


def farewell(model: str, adapter: Path, job: str, seconds: float) -> None:
    bin_folder = PEFTSTUDIO.parent.relative_to(ROOT)
    say(f"Done in {seconds:.0f} s; the gateway is stopped and nothing runs any more")
    console.print(f"base model  {model}")
    console.print(f"adapter     {adapter.relative_to(ROOT)}/")
    console.print(f"gateway     {os.environ['PEFTSTUDIO_DATA_DIR']}/  (ledger, logs, cached files)")
    console.print("\n[bold]What to type next[/]")
    console.print(f"  export PATH={bin_folder}:$PATH PEFTSTUDIO_DATA_DIR={os.environ['PEFTSTUDIO_DATA_DIR']}")
    console.print("  peftstudio serve &              # the gateway, with its memory")
    console.print(f"  peftstudio jobs logs {job}")
    console.print(f"  peftstudio jobs metrics {job}")
    console.print("  peftstudio jobs submit --help   # your own model and data")


@contextmanager
def gateway() -> Iterator[None]:
    """Run a gateway as an operator would, and stop it in order."""
    say("Start the gateway")
    echo("peftstudio", "serve", "--port", "0")
    with (DEMO / "gateway.log").open("wb") as log:
        command = [str(PEFTSTUDIO), "serve", "--port", "0", "--log-format", "json"]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        console.print(f"listening on {address(process)}, log in .demo/gateway.log")
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def address(process: subprocess.Popen[bytes]) -> str:
    """Wait until the gateway says where it is."""
    deadline = time.monotonic() + START_SECONDS
    endpoint = GATEWAY / "endpoint.json"
    while process.poll() is None and time.monotonic() < deadline:
        if endpoint.exists() and json.loads(endpoint.read_text())["pid"] == process.pid:
            found: str = json.loads(endpoint.read_text())["address"]
            return found
        time.sleep(0.05)
    raise SystemExit(f"the gateway did not start:\n{(DEMO / 'gateway.log').read_text()}")


def say(text: str) -> None:
    console.print()
    console.print(Rule(f"[bold cyan]{text}[/]", align="left", style="cyan"))


def echo(*command: str) -> None:
    console.print(f"[bold green]$[/] [bold]{shlex.join(command)}[/]")


def peftstudio(*arguments: str) -> None:
    """Show a command and run it."""
    echo("peftstudio", *arguments)
    finish(subprocess.run([str(PEFTSTUDIO), *arguments], check=False))


def answer(*arguments: str) -> list[dict[str, str]]:
    """Run a command silently and return its JSON."""
    found: list[dict[str, str]] = json.loads(subprocess.check_output([str(PEFTSTUDIO), *arguments]))
    return found


def run(*command: str) -> None:
    """Show and run another program."""
    echo("python", *command[1:])
    finish(subprocess.run(command, check=False))


def finish(process: subprocess.CompletedProcess[bytes]) -> None:
    if process.returncode:
        raise SystemExit(process.returncode)


if __name__ == "__main__":
    main()
