"""Connectors: found, launched, watched and spoken to."""
