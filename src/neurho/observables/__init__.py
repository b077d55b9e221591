"""What is measured, with errors, and how far it may be trusted."""
