"""What is served: trimmed Kubernetes objects, the index over them, static zones, and look-ups. Pure."""
