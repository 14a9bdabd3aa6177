"""Configuration as values: the Corefile's text, its tree, and how to reach a cluster. Pure."""
