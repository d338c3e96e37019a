"""Floor 6, what a command does, callable from Python."""
