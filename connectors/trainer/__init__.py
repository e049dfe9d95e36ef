"""The one training program: a job spec in, real PEFT training, structured records and an artifact folder out.

Run it as `python -m connectors.trainer SPEC.json`. It needs nothing of the gateway, so the same program runs as
a child of the local connector, in a Slurm job or in a rented pod.
"""
