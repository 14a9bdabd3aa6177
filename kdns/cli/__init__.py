"""The command line: the only place that prints, reads ``sys.argv`` and sets up logging."""
