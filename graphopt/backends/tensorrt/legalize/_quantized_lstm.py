"""What a dynamically quantised LSTM computes, as the text of an ONNX function: a Scan over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DOMAIN = "graphopt.legalize"
"""Domain of the function; it is inlined at once."""

INPUTS = ("x", "w", "r", "bias", "h", "c", "w_scale", "w_zero", "r_scale", "r_zero")
"""Inputs of the function for each direction but x, which all share; weights without their first axis."""


@dataclass(frozen=True)
class QuantizedLstm:
    """One LSTM to be spelled.

    Attributes:
        reverse: for each direction, whether it runs from the last step to the first.
        hidden: numbers in a state.
        bias: whether there is one.
        states: whether the first states are given; they are zeros otherwise.
        opset: of the standard operators.
    """

    reverse: Sequence[bool]
    hidden: int
    bias: bool
    states: bool
    opset: int

    @property
    def name(self) -> str:
        """The same for all that have the same text."""
        ways = "".join("r" if way else "f" for way in self.reverse)
        return f"QuantizedLstm_{ways}_{self.hidden}_{int(self.bias)}{int(self.states)}"

    def inputs(self) -> list[str]:
        """Names of the inputs: ``x``, then those of each direction with its number."""
        left_out = {"x", *(() if self.bias else ("bias",)), *(() if self.states else ("h", "c"))}
        each = [name for name in INPUTS if name not in left_out]
        return ["x", *(f"{name}{way}" for way in range(len(self.reverse)) for name in each)]

    def text(self) -> str:
        """The function: ``(x, …) => (y, y_h, y_c)`` as DynamicQuantizeLSTM has them."""
        ways = range(len(self.reverse))
        parts = [
            f'<domain: "{DOMAIN}", opset_import: ["": {self.opset}]>',
            f"{self.name} ({', '.join(self.inputs())}) => (y, y_h, y_c) {{",
            "  q, s, z = DynamicQuantizeLinear (x)",
            *(self._input_product(way) for way in ways),
            *([] if self.states else [self._zeros()]),
            self._scan(),
            self._joined("y", "all", axis=1),
            self._joined("y_h", "last_h", axis=0),
            self._joined("y_c", "last_c", axis=0),
            "}",
        ]
        return "\n".join(parts)

    def _input_product(self, way: int) -> str:
        """All steps at once: their range, and so their scale, is that of the whole input."""
        return f"""
  p{way} = MatMulInteger (q, w{way}, z, w_zero{way})
  n{way} = Cast <to = 1> (p{way})
  k{way} = Mul (s, w_scale{way})
  x{way} = Mul (n{way}, k{way})"""

    def _zeros(self) -> str:
        return f"""
  rows = Shape <start = 1, end = 2> (x)
  columns = Constant <value_ints = [{self.hidden}]> ()
  size = Concat <axis = 0> (rows, columns)
  zeros = ConstantOfShape (size)"""

    def _scan(self) -> str:
        ways = range(len(self.reverse))
        first = [f"{state}{way}" if self.states else "zeros" for way in ways for state in "hc"]
        last = [f"last_{state}{way}" for way in ways for state in "hc"]
        directions = ", ".join(str(int(way)) for way in self.reverse)
        states = ", ".join(f"float[batch, {self.hidden}] {state}p{way}" for way in ways for state in "hc")
        steps = ", ".join(f"float[batch, {4 * self.hidden}] xt{way}" for way in ways)
        after = [f"{state}n{way}" for way in ways for state in "hc"] + [f"out{way}" for way in ways]
        results = ", ".join(f"float[batch, {self.hidden}] {name}" for name in after)
        body = "".join(self._step(way) for way in ways)
        return f"""
  {", ".join([*last, *(f"all{way}" for way in ways)])} = Scan <num_scan_inputs = {len(self.reverse)},
    scan_input_directions = [{directions}], scan_output_directions = [{directions}],
    body = step ({states}, {steps}) => ({results}) {{{body}
    }}> ({", ".join([*first, *(f"x{way}" for way in ways)])})"""

    def _step(self, way: int) -> str:
        """One step: the state is quantised by its own range, the gates are those of an LSTM (i, o, f, c)."""
        gates = f"gb{way} = Add (g{way}, bias{way})" if self.bias else f"gb{way} = Identity (g{way})"
        return f"""
      hq{way}, hs{way}, hz{way} = DynamicQuantizeLinear (hp{way})
      hm{way} = MatMulInteger (hq{way}, r{way}, hz{way}, r_zero{way})
      hf{way} = Cast <to = 1> (hm{way})
      hk{way} = Mul (hs{way}, r_scale{way})
      hr{way} = Mul (hf{way}, hk{way})
      g{way} = Add (xt{way}, hr{way})
      {gates}
      gi{way}, go{way}, gf{way}, gc{way} = Split <axis = -1, num_outputs = 4> (gb{way})
      i{way} = Sigmoid (gi{way})
      f{way} = Sigmoid (gf{way})
      u{way} = Tanh (gc{way})
      kept{way} = Mul (f{way}, cp{way})
      new{way} = Mul (i{way}, u{way})
      cn{way} = Add (kept{way}, new{way})
      o{way} = Sigmoid (go{way})
      t{way} = Tanh (cn{way})
      hn{way} = Mul (o{way}, t{way})
      out{way} = Identity (hn{way})"""

    def _joined(self, result: str, part: str, axis: int) -> str:
        """The directions side by side."""
        ways = range(len(self.reverse))
        lines = [f"  {result}_axis = Constant <value_ints = [{axis}]> ()"]
        lines += [f"  {result}_part{way} = Unsqueeze ({part}{way}, {result}_axis)" for way in ways]
        parts = ", ".join(f"{result}_part{way}" for way in ways)
        return "\n".join([*lines, f"  {result} = Concat <axis = {axis}> ({parts})"])
