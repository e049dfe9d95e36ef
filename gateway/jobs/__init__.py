"""Jobs: their states, their way to the platform and their end."""
