"""The composition root: every object is built here, started, reloaded and ended.

``clusters`` has the sources with their indexes, ``generation`` what one configuration makes of them,
``sockets`` the listeners, ``lifecycle`` the order of starting and stopping.
"""
