"""Models behind endpoints, which cost money for as long as they are there."""
