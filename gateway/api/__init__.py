"""What clients call: thin servicers, and the one boundary in front of them."""
