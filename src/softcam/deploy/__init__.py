"""Out of the lab: exported graphs, and results as DICOM objects."""
