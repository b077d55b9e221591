"""The paper's picture: rho(l, r) as a network, its samples, and the equations that move it."""
