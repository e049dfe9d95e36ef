"""Backups of the data folder, and what makes a data folder of one again."""
