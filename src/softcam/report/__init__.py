"""Floor 5, figures and the self-contained HTML report."""
