"""A model over a table of any length: block by block into files, resumable, in flat memory."""
