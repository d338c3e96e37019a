"""What `softcam benchmark` does: explain a table's images in many ways, and measure the maps."""
