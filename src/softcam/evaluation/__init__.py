"""Floor 4, is the answer right, is the explanation right: metrics with their intervals."""
