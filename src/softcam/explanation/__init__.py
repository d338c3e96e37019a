"""Floor 3, an image to an Explanation: predictors, regions, overlays, post-hoc attributions."""
