"""A problem that runs: from its file to objects, methods as drivers, snapshots."""
