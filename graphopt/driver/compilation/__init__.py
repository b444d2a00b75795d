"""The parts of a compile: candidates, regions, equality, speed, report; the verb is ``driver/compile.py``."""
