"""Machines, prices and models of all platforms."""
