"""Passes about recurrent operators; in running order."""

from graphopt.passes.recurrent.merge_recurrent_steps import MergeRecurrentSteps
from graphopt.passes.recurrent.recognize_gru import RecognizeGru
from graphopt.passes.recurrent.recognize_lstm import RecognizeLstm
from graphopt.pipeline.pass_base import Pass

RECURRENT_PASSES: tuple[type[Pass], ...] = (RecognizeLstm, RecognizeGru, MergeRecurrentSteps)
