"""Passes that put a subgraph into one call whose body is that subgraph, for backends with kernels for it.

No level runs them: a backend that claims composites asks for them, any other would inline them again.
"""

from graphopt.passes.composite.fuse_elementwise import FuseElementwise
from graphopt.passes.composite.fuse_epilogue import FuseEpilogue
from graphopt.pipeline.pass_base import Pass

COMPOSITE_PASSES: tuple[type[Pass], ...] = (
    FuseEpilogue,
    FuseElementwise,  # after the epilogues: what follows a product is cheapest in its registers
)
