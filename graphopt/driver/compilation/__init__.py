"""The parts of a compile: options, candidates, regions, equality, speed, report; the verb is next door, ``compile.py``."""
