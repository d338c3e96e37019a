"""An explanation of a DICOM image as DICOM objects: segmentation, overlay, report, map."""
