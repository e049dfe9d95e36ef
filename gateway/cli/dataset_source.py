"""Where a job's data comes from: a file of this machine travels through the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.exit_codes import ExitCode
from gateway.cli.running import CommandError
from gateway.cli.transfer_bar import transfer_bar

if TYPE_CHECKING:
    from gateway.client import Client


async def uploaded(client: Client, dataset_path: str, folder: Path) -> str:
    """Return the dataset's URI, after sending it to the gateway if it is a file of this machine.

    A relative path is looked for in the present folder and then in `folder`.
    """
    if not dataset_path or "://" in dataset_path:
        return dataset_path

    file = _local_file(dataset_path, folder)
    with transfer_bar("uploading") as on_progress:
        return await client.artifacts.upload_dataset(file, on_progress=on_progress)


def _local_file(dataset_path: str, folder: Path) -> Path:
    for path in (Path(dataset_path).expanduser(), folder / dataset_path):
        if path.is_file():
            return path

    raise CommandError(
        f"there is no file {dataset_path!r} here; --no-upload passes the path on to the machine that trains",
        ExitCode.USAGE,
    )
