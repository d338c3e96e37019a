"""Floor 3, tensors to weights: the Lightning task, samplers, augmentation, the run folder."""
