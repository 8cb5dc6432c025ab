"""How computations run: device, precision, torch settings and seeds."""
