"""Native evidence and post-hoc attributions behind one interface."""
