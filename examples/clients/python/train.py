"""Train an adapter through the gateway of this machine and fetch it.

    python train.py CONNECTION MODEL DATASET

Kill the gateway and start it again meanwhile, if you like: the log goes on where it was.
"""

from __future__ import annotations

import asyncio
import sys

from gateway.client import Client, ClientError
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED


async def train(connection: str, model: str, dataset: str) -> int:
    """Upload, submit, follow and fetch."""
    async with Client() as client:
        config = {
            "base_model": model,
            "dataset_path": await client.artifacts.upload_dataset(dataset),
            "rank": 8,
            "num_epochs": 1,
        }
        job = await client.jobs.submit(connection, config)
        async for line in client.jobs.logs(job.id, follow=True):
            print(line.text)

        job = await client.jobs.wait(job.id)
        if job.state != JOB_STATE_SUCCEEDED:
            print(f"job {job.id} {job.status}: {job.message}", file=sys.stderr)
            return 1

        for path in await client.artifacts.download(job.id, f"adapter-{job.id}"):
            print(path)

    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python train.py CONNECTION MODEL DATASET")

    try:
        sys.exit(asyncio.run(train(*sys.argv[1:])))
    except ClientError as error:
        sys.exit(str(error))
