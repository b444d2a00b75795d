"""What the interpreter does not know."""


class Unsupported(Exception):
    """A layer, or a form of one, that is not interpreted."""
