"""Passes about recurrent operators; in running order."""

from graphopt.passes.recurrent.drop_recurrent_defaults import DropRecurrentDefaults
from graphopt.passes.recurrent.merge_recurrent_steps import MergeRecurrentSteps
from graphopt.passes.recurrent.recognize_gru import RecognizeGru
from graphopt.passes.recurrent.recognize_lstm import RecognizeLstm
from graphopt.pipeline.pass_base import Pass

RECURRENT_PASSES: tuple[type[Pass], ...] = (
    RecognizeLstm,
    RecognizeGru,
    MergeRecurrentSteps,
    DropRecurrentDefaults,  # after the merge, which asks for states that are given
)
