"""A penalty sweep: many runs, one choice."""
