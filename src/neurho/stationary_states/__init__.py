"""Stationary states: continuation, corrections by equations of motion, mean field, uniqueness."""
