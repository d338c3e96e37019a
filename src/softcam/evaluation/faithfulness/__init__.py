"""Does the decision follow the map: what the model says when the evidence is taken away."""
