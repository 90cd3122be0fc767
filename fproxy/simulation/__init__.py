"""A simulated market, without I/O: seeded random events in the vendor's form."""
