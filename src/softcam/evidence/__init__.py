"""Floor 1, the idea: evidence layers, the SoftCAM module, the penalty, the model file."""
