"""The command line `peftstudio`."""
