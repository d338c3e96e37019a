"""Exported graphs: logits and evidence from one file, without torch."""
