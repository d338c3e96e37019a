"""Floor 2, black box in, SoftCAM out: the seam, create_model, load."""
