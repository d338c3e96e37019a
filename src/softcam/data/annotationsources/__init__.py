"""One module for each kind of file that annotations lie in."""
