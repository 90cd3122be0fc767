"""Everything that fproxy can be told: ``declared`` names each setting once, the rest of the package follows from it."""
