"""The tables, figures and page of a reproduction of the paper."""
