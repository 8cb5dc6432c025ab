"""How computations run: device, precision, threads, torch settings and seeds."""
