"""Logs: stored before they are served, and served as they are stored."""
