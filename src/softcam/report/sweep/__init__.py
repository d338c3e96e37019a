"""The report of a sweep: curves, tables and a page."""
