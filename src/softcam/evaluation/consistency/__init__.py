"""Does the explanation keep its own promises: sign, tiles, sums, sparsity, stability, model."""
