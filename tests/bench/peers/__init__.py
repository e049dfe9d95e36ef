"""What people would put in the gateway's place, run beside it in the same measurement."""
