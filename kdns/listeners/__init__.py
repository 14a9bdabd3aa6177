"""Sockets: bytes in, bytes out. What is answered is somebody else's business."""
