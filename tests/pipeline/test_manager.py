"""PassManager: order, repeats, effects, broken contracts."""

from dataclasses import dataclass

import onnx_ir as ir
import pytest

from graphopt.errors import PassError
from graphopt.ir.walk import num_nodes
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.instruments import TextDump, VerifyEach
from graphopt.pipeline.manager import PassManager, Repeat
from graphopt.pipeline.pass_base import Pass
from tests.pipeline.toys import BreakTheModel, Flip, LieAboutChange, Raise, RemoveOneRelu, relu_chain


def test_effects_say_what_each_run_did():
    model = relu_chain(3)
    effects = PassManager((RemoveOneRelu(), Flip())).run(model, PassContext())
    assert [(e.pass_text, e.modified, e.nodes_before, e.nodes_after) for e in effects] == [
        ("remove-one-relu", True, 3, 2),
        ("flip", True, 2, 2),
    ]
    assert effects[0].rewrites == {"remove-one-relu": 1}
    assert effects[1].rewrites == {}


def test_repeat_runs_until_nothing_changes():
    model = relu_chain(7)
    effects = PassManager((Repeat((RemoveOneRelu(),)),)).run(model, PassContext())
    assert num_nodes(model) == 1
    assert [e.modified for e in effects] == [True] * 6 + [False]


def test_a_pass_that_found_nothing_is_not_asked_again_until_the_model_changed():
    model = relu_chain(2)
    steps = (RemoveOneRelu(), RemoveOneRelu(), RemoveOneRelu(), Flip(), RemoveOneRelu())
    effects = PassManager(steps).run(model, PassContext())
    assert [(e.pass_text, e.modified) for e in effects] == [
        ("remove-one-relu", True),
        ("remove-one-relu", False),
        ("flip", True),
        ("remove-one-relu", False),
    ]


def test_a_pipeline_of_many_passes_compares_none_with_another():
    compared: list[type[Pass]] = []

    def equal(self, other):
        compared.append(type(other))
        return type(self) is type(other)

    def idle(self, model, ctx):
        return False

    passes = [
        dataclass(frozen=True)(type(f"Idle{number}", (Pass,), {"__eq__": equal, "run": idle}))()
        for number in range(40)
    ]
    effects = PassManager((Repeat(tuple(passes)), *passes)).run(relu_chain(1), PassContext())
    assert len(effects) == len(passes)
    assert not compared, "without options all have one hash"


def test_a_repeat_that_never_converges_stops_at_its_limit_and_says_so():
    ctx = PassContext()
    effects = PassManager((Repeat((Flip(),), limit=5),)).run(relu_chain(2), ctx)
    assert len(effects) == 5
    assert "after 5 rounds" in ctx.remarks[-1].reason


def test_an_exception_in_a_pass_names_the_pass():
    with pytest.raises(PassError, match="pass raise failed: KeyError: 'conv_weight'") as caught:
        PassManager((Raise(),)).run(relu_chain(1), PassContext())
    assert caught.value.pass_name == "raise"


@pytest.mark.parametrize(
    ("broken", "message"),
    [(LieAboutChange(), "said it did not"), (BreakTheModel(), "left an invalid model.*from_nowhere")],
)
def test_verify_each_catches_a_broken_contract(broken, message):
    with pytest.raises(PassError, match=message) as caught:
        PassManager((broken,), (VerifyEach(),)).run(relu_chain(2), PassContext())
    assert caught.value.pass_name == broken.name()


def test_verify_each_accepts_honest_passes():
    PassManager((RemoveOneRelu(), RemoveOneRelu(), RemoveOneRelu()), (VerifyEach(),)).run(
        relu_chain(3), PassContext()
    )


def test_text_dump_prints_what_was_asked_for():
    printed: list[str] = []
    dump = TextDump(printed.append, before=frozenset({"flip"}), after=None)
    PassManager((RemoveOneRelu(), RemoveOneRelu(), Flip()), (dump,)).run(relu_chain(2), PassContext())
    heads = [text.splitlines()[0] for text in printed]
    assert heads == [
        "// ----- after remove-one-relu -----",
        "// ----- after remove-one-relu: unchanged -----",
        "// ----- before flip -----",
        "// ----- after flip -----",
    ]
    assert "Abs" in printed[-1]


def test_models_are_transformed_in_place():
    model = relu_chain(2)
    graph = model.graph
    PassManager((RemoveOneRelu(),)).run(model, PassContext())
    assert model.graph is graph
    assert isinstance(model, ir.Model)
