"""The forms that must be recognised, each with what it is."""

from __future__ import annotations

FORMS = {
    # normalisation
    "layer_normalization": "mean and variance over the last axes, scale and bias",
    "rms_normalization": "root mean square over the last axis, scale",
    "group_normalization": "mean and variance over groups of channels, often as InstanceNormalization",
    "instance_normalization": "mean and variance over space, per channel",
    "skip_layer_normalization": "a residual sum and its LayerNormalization",
    "skip_rms_normalization": "a residual sum and its RMSNormalization",
    "embed_layer_normalization": "Gathers of word, position and segment, summed and normalised",
    # activation
    "gelu": "x · Φ(x) with Erf",
    "gelu_tanh": "its approximation with Tanh",
    "quick_gelu": "x · sigmoid(1.702 x)",
    "silu": "x · sigmoid(x)",
    "hard_swish": "x · clip(x + 3, 0, 6) / 6",
    "hard_sigmoid": "clip(a x + b, 0, 1)",
    "mish": "x · tanh(softplus(x))",
    "softplus": "log(1 + exp(x))",
    "clip": "Min and Max with constants",
    "softmax": "exp(x) over its sum",
    "masked_softmax": "softmax of scores and a mask",
    # attention
    "attention": "softmax(q kᵀ) v, with any way to split heads",
    "attention_mask": "with an additive, boolean or causal mask",
    "attention_relative_bias": "with a bias per distance",
    "attention_grouped_heads": "with fewer heads of k and v",
    "attention_packed": "with q, k and v from one product",
    "rotary_embedding": "rotated halves or pairs",
    # recurrent, quantised, spatial
    "lstm": "LSTM from its pieces",
    "gru": "GRU from its pieces",
    "dynamic_quantize_matmul": "DynamicQuantizeLinear, MatMulInteger and their scales",
    "dynamic_quantize_conv": "DynamicQuantizeLinear, ConvInteger and their scales",
    "resize": "upsampling by other means",
    "depth_to_space": "pixel shuffle and its inverse",
    "stft": "the short-time Fourier transform",
}
