"""The report of an explanation benchmark: one result as tables, figures, a gallery and a page."""
