"""The resolver of this machine: what it asks, how it is told to ask kdns, and what is wrong with it."""
