"""Floor 8, the commands: parse, call a workflow, print."""
