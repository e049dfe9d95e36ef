"""One package for each platform, and the program that trains."""
