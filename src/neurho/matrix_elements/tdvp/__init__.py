"""The time-dependent variational principle: the quantum geometric tensor, its solvers, the velocity."""
