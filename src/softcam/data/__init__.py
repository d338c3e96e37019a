"""Floor 2, files to arrays and back: tables, readers, preprocessing, annotations, phantoms."""
