"""Floor 5, out of the lab: exported graphs, and results as DICOM objects."""
