"""Means over samples: observables, the norm of L rho, and how much of both was seen."""
