"""Tests of floor 2: files to arrays and back."""
