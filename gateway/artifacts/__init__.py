"""Files that jobs left, and files on their way in."""
