"""Whatever changes with time, as streams of changes; and the reading of files."""
