"""Measurements: paired, in one run, as ratios wherever there is something to compare with. `make bench` runs them."""
