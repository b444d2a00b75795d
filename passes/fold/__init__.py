"""Folding: what can be computed once, dropped or shared."""

from graphopt.passes.fold.dead_code import DeadCode
from graphopt.passes.fold.fold_constants import FoldConstants
from graphopt.passes.fold.fold_known_elements import FoldKnownElements
from graphopt.passes.fold.fold_shape_targets import FoldShapeTargets
from graphopt.passes.fold.hoist_invariants import HoistInvariants
from graphopt.passes.fold.inline_if import InlineIf
from graphopt.passes.fold.merge_duplicates import MergeDuplicates
from graphopt.passes.fold.merge_equal_elements import MergeEqualElements
from graphopt.passes.fold.prune_failing_branch import PruneFailingBranch
from graphopt.passes.fold.read_dims_directly import ReadDimsDirectly
from graphopt.passes.fold.trim_outputs import TrimOutputs
from graphopt.passes.fold.unroll_loop import UnrollLoop

FOLD_PASSES = (
    InlineIf,  # first: what a branch computes is folded together with what surrounds it
    PruneFailingBranch,
    UnrollLoop,
    HoistInvariants,
    FoldKnownElements,
    FoldShapeTargets,  # before what shares and re-reads sizes: most of them are not needed any more
    MergeEqualElements,
    ReadDimsDirectly,
    FoldConstants,
    TrimOutputs,
    DeadCode,
    MergeDuplicates,
)
