"""Small models of the kinds that exporters write and inference engines stumble over, as ONNX text.

An input whose name begins with ``w_`` is a weight: ``model`` fills it with random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser


@dataclass(frozen=True)
class Odd:
    """One model.

    Attributes:
        name: what it is about.
        graph: ONNX text of the graph.
        engine: whether any of it must be in an engine.
        opset: of the default domain.
    """

    name: str
    graph: str
    engine: bool = True
    opset: int = 17


def model(odd: Odd) -> onnx.ModelProto:
    """The model with its weights."""
    proto = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": {odd.opset}]>\n{odd.graph}')
    rng = np.random.default_rng(len(odd.name))
    for value in [v for v in proto.graph.input if v.name.startswith("w_")]:
        tensor = value.type.tensor_type
        dims = [d.dim_value for d in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        array = np.asarray(rng.standard_normal(dims) * 0.3).astype(dtype)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
        proto.graph.input.remove(value)
    onnx.checker.check_model(proto)
    return proto


RECURRENT = (
    Odd(
        "lstm in both directions with initial states",
        """g (float[7, 2, 5] x, float[2, 2, 3] h, float[2, 2, 3] c,
              float[2, 12, 5] w_w, float[2, 12, 3] w_r, float[2, 24] w_b)
           => (float[7, 2, 2, 3] y, float[2, 2, 3] yh, float[2, 2, 3] yc) {
          y, yh, yc = LSTM <hidden_size = 3, direction = "bidirectional"> (x, w_w, w_r, w_b, , h, c)
        }""",
    ),
    Odd(
        "lstm with peepholes",
        """g (float[7, 2, 5] x, float[1, 12, 5] w_w, float[1, 12, 3] w_r, float[1, 24] w_b, float[1, 9] w_p)
           => (float[1, 2, 3] yh) {
          t, yh = LSTM <hidden_size = 3> (x, w_w, w_r, w_b, , , , w_p)
        }""",
    ),
    Odd(
        "lstm over sequences of several lengths",
        """g (float[7, 2, 5] x, int32[2] lens, float[1, 12, 5] w_w, float[1, 12, 3] w_r)
           => (float[7, 1, 2, 3] y) {
          y = LSTM <hidden_size = 3> (x, w_w, w_r, , lens)
        }""",
    ),
    Odd(
        "gru that resets after the product",
        """g (float[7, 2, 5] x, float[1, 9, 5] w_w, float[1, 9, 3] w_r, float[1, 18] w_b)
           => (float[7, 2, 3] y) {
          axis = Constant <value_ints = [1]> ()
          t = GRU <hidden_size = 3, linear_before_reset = 1> (x, w_w, w_r, w_b)
          y = Squeeze (t, axis)
        }""",
    ),
    Odd(
        "rnn with relu, backwards",
        """g (float[7, 2, 5] x, float[1, 3, 5] w_w, float[1, 3, 3] w_r)
           => (float[7, 1, 2, 3] y) {
          y = RNN <hidden_size = 3, direction = "reverse", activations = ["Relu"]> (x, w_w, w_r)
        }""",
    ),
)

CONTROL = (
    Odd(
        "a branch chosen by the data",
        """g (float[2, 4] x, float[4, 4] w_a) => (float[2, 4] y) {
          s = ReduceSum <keepdims = 0> (x)
          zero = Constant <value_float = 0.0> ()
          positive = Greater (s, zero)
          t = MatMul (x, w_a)
          y = If (positive) <
            then_branch = one () => (float[2, 4] a) { a = Tanh (t) },
            else_branch = two () => (float[2, 4] b) { b = Neg (t) }
          >
        }""",
    ),
    Odd(
        "a loop of a known number of turns",
        """g (float[2, 4] x, float[4, 4] w_a) => (float[2, 4] y) {
          n = Constant <value_int = 3> ()
          go = Cast <to = 9> (n)
          y = Loop (n, go, x) <
            body = step (int64 i, bool c, float[2, 4] h) => (bool d, float[2, 4] k) {
              d = Identity (c)
              m = MatMul (h, w_a)
              k = Tanh (m)
            }
          >
        }""",
    ),
    Odd(
        "a loop that gathers what it computes, its turns counted by an input",
        """g (float[2, 4] x, int64 n, float[4, 4] w_a) => (float[t, 2, 4] y) {
          go = Constant <value = bool {1}> ()
          h, y = Loop (n, go, x) <
            body = step (int64 i, bool c, float[2, 4] h) => (bool d, float[2, 4] k, float[2, 4] o) {
              d = Identity (c)
              m = MatMul (h, w_a)
              k = Tanh (m)
              o = Identity (k)
            }
          >
        }""",
        engine=False,
    ),
    Odd(
        "a scan",
        """g (float[5, 4] x, float[4] w_s) => (float[4] last, float[5, 4] y) {
          last, y = Scan <num_scan_inputs = 1,
            body = step (float[4] s, float[4] e) => (float[4] t, float[4] o) {
              t = Add (s, e)
              o = Tanh (t)
            }
          > (w_s, x)
        }""",
    ),
)

INDEXED = (
    Odd(
        "scatter of rows",
        """g (float[6, 4] x, float[2, 4] u) => (float[6, 4] y) {
          rows = Constant <value = int64[2, 1] {4, 1}> ()
          t = ScatterND (x, rows, u)
          y = Relu (t)
        }""",
    ),
    Odd(
        "scatter that adds",
        """g (float[6, 4] x, float[3, 4] u) => (float[6, 4] y) {
          rows = Constant <value = int64[3, 1] {4, 1, 4}> ()
          t = ScatterND <reduction = "add"> (x, rows, u)
          y = Tanh (t)
        }""",
    ),
    Odd(
        "the best of each row",
        """g (float[3, 9] x, float[9, 9] w_a) => (float[3, 4] v, int64[3, 4] i) {
          k = Constant <value_ints = [4]> ()
          t = MatMul (x, w_a)
          v, i = TopK <axis = 1> (t, k)
        }""",
    ),
    Odd(
        "a detector's last steps",
        """g (float[1, 12, 4] boxes, float[1, 2, 12] x, float[12, 12] w_a) => (int64[n, 3] picked) {
          scores = MatMul (x, w_a)
          most = Constant <value_ints = [3]> ()
          overlap = Constant <value_floats = [0.5]> ()
          least = Constant <value_floats = [0.1]> ()
          s = Sigmoid (scores)
          picked = NonMaxSuppression (boxes, s, most, overlap, least)
        }""",
    ),
    Odd(
        "what is not zero",
        """g (float[4, 5] x) => (int64[2, n] where) {
          zero = Constant <value_float = 0.0> ()
          c = Greater (x, zero)
          where = NonZero (c)
        }""",
        engine=False,
    ),
    Odd(
        "integers only",
        """g (int64[6] x) => (int64[6] y, int64[1] s) {
          three = Constant <value_int = 3> ()
          a = Mul (x, three)
          b = Add (a, x)
          c = Max (b, three)
          y = Mod (c, three)
          s = ReduceSum (b)
        }""",
    ),
    Odd(
        "a table's rows for the largest number",
        """g (float[2, 6] x, float[6, 8] w_table) => (float[2, 1, 8] y) {
          i = ArgMax <axis = 1> (x)
          y = Gather (w_table, i)
        }""",
    ),
)

DTYPES = (
    Odd(
        "float64 throughout",
        """g (double[3, 4] x, double[4, 5] w_a) => (double[3, 5] y) {
          t = MatMul (x, w_a)
          y = Tanh (t)
        }""",
        engine=False,
    ),
    Odd(
        "float64 in the middle",
        """g (float[3, 4] x, float[4, 5] w_a, double[5] w_b) => (float[3, 5] y) {
          t = MatMul (x, w_a)
          d = Cast <to = 11> (t)
          e = Add (d, w_b)
          f = Cast <to = 1> (e)
          y = Sigmoid (f)
        }""",
    ),
    Odd(
        "float16 in and out",
        """g (float16[3, 8] x, float16[8, 5] w_a) => (float16[3, 5] y) {
          t = MatMul (x, w_a)
          y = Relu (t)
        }""",
    ),
    Odd(
        "bytes in",
        """g (uint8[1, 4, 6, 3] x, float[5, 3, 3, 3] w_k) => (float[1, 5, 2, 4] y) {
          f = Cast <to = 1> (x)
          scale = Constant <value_float = 0.00392156862745098> ()
          s = Mul (f, scale)
          t = Transpose <perm = [0, 3, 1, 2]> (s)
          y = Conv (t, w_k)
        }""",
    ),
    Odd(
        "logic in and out",
        """g (bool[2, 3] a, bool[2, 3] b, float[2, 3] x) => (bool[2, 3] c, float[2, 3] y) {
          zero = Constant <value_float = 0.0> ()
          p = And (a, b)
          c = Not (p)
          y = Where (c, x, zero)
        }""",
    ),
)

DENSE = (
    Odd(
        "convolution in three dimensions",
        """g (float[1, 2, 5, 6, 7] x, float[4, 2, 3, 3, 3] w_k, float[4] w_b) => (float[1, 4, 2, 3, 3] y) {
          c = Conv <pads = [1, 1, 1, 1, 1, 1]> (x, w_k, w_b)
          y = MaxPool <kernel_shape = [2, 2, 2], strides = [2, 2, 2]> (c)
        }""",
    ),
    Odd(
        "transposed convolution in one dimension, with output padding",
        """g (float[2, 3, 8] x, float[3, 4, 5] w_k) => (float[2, 4, n] y) {
          y = ConvTranspose <strides = [2], pads = [1, 1], output_padding = [1]> (x, w_k)
        }""",
    ),
    Odd(
        "grid sample",
        """g (float[1, 2, 6, 6] x, float[1, 4, 4, 2] grid) => (float[1, 2, 4, 4] y) {
          limited = Tanh (grid)
          y = GridSample <mode = "bilinear", padding_mode = "border"> (x, limited)
        }""",
    ),
    Odd(
        "products of three spelled by letters",
        """g (float[2, 3, 4] x, float[2, 4, 5] z, float[5, 6] w_a) => (float[2, 6, 3] y) {
          y = Einsum <equation = "bij,bjk,kl->bli"> (x, z, w_a)
        }""",
    ),
    Odd(
        "the diagonal of a product",
        """g (float[2, 3, 3] x, float[3] w_a) => (float[2, 3] y) {
          d = Einsum <equation = "bii->bi"> (x)
          y = Mul (d, w_a)
        }""",
    ),
    Odd(
        "sums that run along an axis",
        """g (float[3, 5] x, float[5, 5] w_a) => (float[3, 5] y) {
          axis = Constant <value_int = 1> ()
          t = MatMul (x, w_a)
          y = CumSum <reverse = 1, exclusive = 1> (t, axis)
        }""",
    ),
    Odd(
        "cubic resize",
        """g (float[1, 2, 5, 5] x, float[3, 2, 1, 1] w_k) => (float[1, 3, 10, 10] y) {
          scales = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
          c = Conv (x, w_k)
          y = Resize <mode = "cubic", cubic_coeff_a = -0.5> (c, , scales)
        }""",
    ),
    Odd(
        "normalisation by groups",
        """g (float[2, 8, 4, 4] x, float[8] w_s, float[8] w_b) => (float[2, 8, 4, 4] y) {
          y = GroupNormalization <num_groups = 4> (x, w_s, w_b)
        }""",
        opset=21,
    ),
    Odd(
        "reflected and wrapped borders",
        """g (float[1, 2, 5, 5] x) => (float[1, 2, 9, 7] y) {
          one = Constant <value = int64[8] {0, 0, 1, 1, 0, 0, 1, 1}> ()
          two = Constant <value = int64[8] {0, 0, 1, 0, 0, 0, 1, 0}> ()
          t = Pad <mode = "reflect"> (x, one)
          y = Pad <mode = "wrap"> (t, two)
        }""",
        opset=19,
    ),
    Odd(
        "average that counts its padding",
        """g (float[1, 2, 7, 7] x) => (float[1, 2, 4, 4] y) {
          y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1],
                           count_include_pad = 1> (x)
        }""",
    ),
    Odd(
        "a hole in the output list and an input passed through",
        """g (float[2, 6] x, float[6, 6] w_a) => (float[2, 6] x, float[2, 3] b) {
          t = MatMul (x, w_a)
          halves = Constant <value_ints = [3, 3]> ()
          a, b = Split <axis = 1> (t, halves)
        }""",
    ),
)

BARE = (
    Odd("an input that is the output", "g (float[2, 3] x) => (float[2, 3] x) {}"),
    Odd(
        "nothing but a weight",
        "g (float[2, 3] x, float[2, 2] w_a) => (float[2, 3] y, float[2, 2] w_a) { y = Relu (x) }",
    ),
)

ODD_MODELS = (*RECURRENT, *CONTROL, *INDEXED, *DTYPES, *DENSE, *BARE)
