"""Around JAX: compiled programs, devices, and the settings that must come before its import."""
