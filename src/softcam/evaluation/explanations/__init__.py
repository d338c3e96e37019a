"""The explanation benchmark: what is measured of a map, and what many maps came to."""
