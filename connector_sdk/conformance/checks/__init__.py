"""The checks, one noun a file."""
