"""Folding: what can be computed once, dropped or shared."""

from graphopt.passes.fold.dead_code import DeadCode
from graphopt.passes.fold.fold_constants import FoldConstants
from graphopt.passes.fold.merge_duplicates import MergeDuplicates

FOLD_PASSES = (FoldConstants, DeadCode, MergeDuplicates)
