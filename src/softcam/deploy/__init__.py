"""What leaves the lab: results as DICOM objects."""
