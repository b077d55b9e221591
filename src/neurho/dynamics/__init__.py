"""Networks in time: the explicit flow and implicit projected steps."""
