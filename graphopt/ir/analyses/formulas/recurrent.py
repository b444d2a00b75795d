"""Operations of recurrent networks: gates as products per step, then the cell's elementwise formula.

Per direction, step and batch element, with input width I, hidden width H and G gates: 2·G·H·(I + H) for the
products, G·H to add the two, G·H for the bias (the two biases of ONNX fold into one), and the cell:
LSTM 3 sigmoids (4 each), 2 tanh, 3 for c, 1 for h; GRU 2 sigmoids, 1 tanh, 4; RNN 1 tanh.
"""

from __future__ import annotations

from graphopt.ir.analyses.formulas.call import Call, Formula

_CELL = {"LSTM": (4, 18), "GRU": (3, 13), "RNN": (1, 1)}


def recurrent(kind: str, transposed_weights: bool = False) -> Formula:
    """``kind`` is LSTM, GRU or RNN; quantised LSTMs keep their weights as (directions, I, 4·H)."""
    gates, cell = _CELL[kind]

    def formula(call: Call) -> int:
        x, r = call.dims(0), call.dims(2)
        steps, batch = (x[1], x[0]) if call.integer("layout", 0) else (x[0], x[1])
        directions, hidden = r[0], (r[1] if transposed_weights else r[2])
        bias = 1 if call.has(3) else 0
        per_unit = gates * (2 * (x[2] + hidden) + 1 + bias) + cell
        return steps * batch * directions * hidden * per_unit

    return formula
