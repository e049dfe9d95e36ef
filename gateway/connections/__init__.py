"""Accounts on platforms, and their credentials."""
