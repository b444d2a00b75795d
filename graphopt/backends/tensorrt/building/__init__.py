"""From a legalised region to an engine, in a process of its own."""
