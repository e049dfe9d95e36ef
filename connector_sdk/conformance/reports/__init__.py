"""What is written of a run, one form a file."""
