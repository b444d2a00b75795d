"""The passes graphopt knows, one per file, in groups; and those that installed packages add.

A package adds passes through the entry point group ``graphopt.passes``: each entry names a Pass class.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from graphopt.errors import UsageError
from graphopt.passes.activation import ACTIVATION_PASSES
from graphopt.passes.attention import ATTENTION_PASSES
from graphopt.passes.canonical import CANONICAL_PASSES
from graphopt.passes.composite import COMPOSITE_PASSES
from graphopt.passes.fold import FOLD_PASSES
from graphopt.passes.fuse import FUSE_PASSES
from graphopt.passes.linear import LINEAR_PASSES
from graphopt.passes.normalization import NORMALIZATION_PASSES
from graphopt.passes.precision import PRECISION_PASSES
from graphopt.passes.quantization import QUANTIZATION_PASSES
from graphopt.passes.recurrent import RECURRENT_PASSES
from graphopt.passes.simplify import SIMPLIFY_PASSES
from graphopt.passes.spatial import SPATIAL_PASSES
from graphopt.pipeline.pass_base import Pass

GROUPS: dict[str, tuple[type[Pass], ...]] = {
    "canonical": CANONICAL_PASSES,
    "simplify": SIMPLIFY_PASSES,
    "fold": FOLD_PASSES,
    "linear": LINEAR_PASSES,
    "activation": ACTIVATION_PASSES,
    "normalization": NORMALIZATION_PASSES,
    "attention": ATTENTION_PASSES,
    "recurrent": RECURRENT_PASSES,
    "quantization": QUANTIZATION_PASSES,
    "spatial": SPATIAL_PASSES,
    "fuse": FUSE_PASSES,
    "composite": COMPOSITE_PASSES,
    "precision": PRECISION_PASSES,
}

ALL_PASSES: tuple[type[Pass], ...] = tuple(cls for group in GROUPS.values() for cls in group)


@cache
def registry() -> dict[str, type[Pass]]:
    """Every pass by name: graphopt's own, then those of installed packages.

    Raises:
        UsageError: two passes claim one name, or an entry point is not a Pass class.
    """
    found: dict[str, type[Pass]] = {cls.name(): cls for cls in ALL_PASSES}
    for entry in entry_points(group="graphopt.passes"):
        cls = entry.load()
        if not (isinstance(cls, type) and issubclass(cls, Pass)):
            raise UsageError(f"entry point {entry.name} = {entry.value} is not a Pass class")
        name = cls.name()
        if name in found or name in GROUPS:
            raise UsageError(
                f"the pass {name} of {entry.value} clashes with {found.get(name, 'a group of graphopt')}",
                "rename the class or uninstall the package",
            )
        found[name] = cls
    return found
