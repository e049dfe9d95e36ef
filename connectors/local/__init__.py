"""The local connector: trainings on this machine, each in a process of its own that outlives the connector."""
