"""`softcam export`: a model to a file that runs without torch, proved and measured."""
