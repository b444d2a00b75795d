"""Simplifying passes, in running order: what enables another comes before it."""

from graphopt.passes.simplify.absorb_transposes import AbsorbTransposes
from graphopt.passes.simplify.compute_in_table import ComputeInTable
from graphopt.passes.simplify.eliminate_broadcast_expand import EliminateBroadcastExpand
from graphopt.passes.simplify.eliminate_dropout import EliminateDropout
from graphopt.passes.simplify.eliminate_full_scatter import EliminateFullScatter
from graphopt.passes.simplify.eliminate_identity import EliminateIdentity
from graphopt.passes.simplify.eliminate_noop_cast import EliminateNoopCast
from graphopt.passes.simplify.eliminate_noop_concat import EliminateNoopConcat
from graphopt.passes.simplify.eliminate_noop_expand import EliminateNoopExpand
from graphopt.passes.simplify.eliminate_noop_pad import EliminateNoopPad
from graphopt.passes.simplify.eliminate_noop_reshape import EliminateNoopReshape
from graphopt.passes.simplify.eliminate_noop_slice import EliminateNoopSlice
from graphopt.passes.simplify.eliminate_noop_split import EliminateNoopSplit
from graphopt.passes.simplify.eliminate_noop_transpose import EliminateNoopTranspose
from graphopt.passes.simplify.eliminate_reshape_before_split import EliminateReshapeBeforeSplit
from graphopt.passes.simplify.eliminate_split_of_concat import EliminateSplitOfConcat
from graphopt.passes.simplify.factor_out_gate import FactorOutGate
from graphopt.passes.simplify.fold_negations import FoldNegations
from graphopt.passes.simplify.fold_shape_of_known import FoldShapeOfKnown
from graphopt.passes.simplify.fuse_consecutive_casts import FuseConsecutiveCasts
from graphopt.passes.simplify.fuse_consecutive_concats import FuseConsecutiveConcats
from graphopt.passes.simplify.fuse_consecutive_reshapes import FuseConsecutiveReshapes
from graphopt.passes.simplify.fuse_consecutive_slices import FuseConsecutiveSlices
from graphopt.passes.simplify.fuse_consecutive_squeezes import FuseConsecutiveSqueezes
from graphopt.passes.simplify.fuse_consecutive_transposes import FuseConsecutiveTransposes
from graphopt.passes.simplify.fuse_layout_chains import FuseLayoutChains
from graphopt.passes.simplify.keep_reduced_dims import KeepReducedDims
from graphopt.passes.simplify.merge_scalar_constants import MergeScalarConstants
from graphopt.passes.simplify.replace_einsum import ReplaceEinsum
from graphopt.passes.simplify.replace_gather import ReplaceGather
from graphopt.passes.simplify.replace_one_hot_product import ReplaceOneHotProduct
from graphopt.passes.simplify.simplify_arithmetic import SimplifyArithmetic
from graphopt.passes.simplify.simplify_clamps import SimplifyClamps
from graphopt.passes.simplify.simplify_division import SimplifyDivision
from graphopt.passes.simplify.simplify_logic import SimplifyLogic
from graphopt.passes.simplify.simplify_powers import SimplifyPowers
from graphopt.passes.simplify.simplify_reductions import SimplifyReductions
from graphopt.passes.simplify.sink_reshapes import SinkReshapes
from graphopt.passes.simplify.sink_transposes import SinkTransposes

SIMPLIFY_PASSES = (
    EliminateIdentity,
    EliminateDropout,
    FoldShapeOfKnown,  # first among those that read shapes: it makes targets constant
    FuseConsecutiveCasts,
    EliminateNoopCast,  # after fusing: x → y → x leaves a cast to its own type
    SimplifyArithmetic,
    SimplifyPowers,
    SimplifyDivision,
    FoldNegations,
    MergeScalarConstants,
    FactorOutGate,
    SimplifyClamps,
    SimplifyLogic,
    ReplaceEinsum,  # its reshapes and transposes are joined with those around them by what follows
    ReplaceOneHotProduct,
    ComputeInTable,  # after the products that are look-ups
    EliminateFullScatter,
    ReplaceGather,
    SimplifyReductions,
    KeepReducedDims,
    EliminateNoopSlice,
    FuseConsecutiveSlices,
    EliminateNoopPad,
    EliminateNoopConcat,
    FuseConsecutiveConcats,
    EliminateSplitOfConcat,
    EliminateNoopSplit,
    EliminateNoopExpand,
    EliminateBroadcastExpand,
    EliminateReshapeBeforeSplit,
    SinkReshapes,
    FuseConsecutiveSqueezes,
    FuseConsecutiveReshapes,
    EliminateNoopReshape,
    SinkTransposes,
    FuseConsecutiveTransposes,
    AbsorbTransposes,
    FuseLayoutChains,
    EliminateNoopTranspose,
)
