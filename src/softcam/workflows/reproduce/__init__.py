"""The paper's experiment in one command: import, train, explain, and tables beside its figures."""
