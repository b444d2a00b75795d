"""The exceptions graphopt raises on purpose, each with the exit code the command line ends with.

Every message is one line that names the cause; ``hint`` says the next step. Anything else that
escapes is a bug and is reported as one.
"""


class GraphoptError(Exception):
    """A failure the person can act on.

    Args:
        message: one line naming the cause.
        hint: one line naming the next step, or empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(GraphoptError):
    """The request contradicts itself or names something that does not exist."""

    exit_code = 2


class ModelError(GraphoptError):
    """The model file is damaged, invalid or beyond what graphopt takes."""


class FeedError(GraphoptError):
    """The inputs handed to a model do not fit its signature."""


class TargetError(GraphoptError):
    """The target does not exist or cannot be compiled for here."""


class BackendError(GraphoptError):
    """A backend is missing, refused a region or failed to run it."""


class ArtifactError(GraphoptError):
    """An artifact is damaged, foreign or of an unknown version."""


class PassError(GraphoptError):
    """A pass broke its contract: it raised, left an invalid graph or lied about what it changed.

    ``pass_name`` says which one, so that a compile can go on without it.
    """

    def __init__(self, message: str, hint: str = "", *, pass_name: str = "") -> None:
        super().__init__(message, hint)
        self.pass_name = pass_name


class EqualityError(GraphoptError):
    """Two models that should compute the same do not."""

    exit_code = 3


class ConstraintError(GraphoptError):
    """A constraint the person set was not met."""

    exit_code = 4
