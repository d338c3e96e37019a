"""Is one model better than another: differences on the same images, and how sure they are."""
