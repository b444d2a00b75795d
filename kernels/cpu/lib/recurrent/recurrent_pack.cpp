// What recurrent networks do before they run: checks, activations, where everything lies, packed weights.
#include "cpu/lib/recurrent/recurrent.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

int64_t round_up(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

bool is_output(const gk_call* call, int index) { return index < call->output_count && call->outputs[index].ndim >= 0; }

bool has_shape(const gk_tensor& tensor, int64_t a, int64_t b, int64_t c = -1, int64_t d = -1) {
  const int64_t dims[4] = {a, b, c, d};
  const int rank = d >= 0 ? 4 : c >= 0 ? 3 : 2;
  if (tensor.ndim != rank || !is_compact(tensor)) return false;
  for (int i = 0; i < rank; ++i) {
    if (tensor.shape[i] != dims[i]) return false;
  }
  return true;
}

struct ActivationName {
  const char* name;
  float alpha, beta;
  bool takes_alpha, takes_beta;
};

constexpr ActivationName kActivationNames[] = {  // in the order of ActivationKind
    {"Relu", 0, 0, false, false},         {"Tanh", 0, 0, false, false},       {"Sigmoid", 0, 0, false, false},
    {"Affine", 1, 0, true, true},         {"LeakyRelu", 0.01f, 0, true, false}, {"ThresholdedRelu", 1, 0, true, false},
    {"ScaledTanh", 1, 1, true, true},     {"HardSigmoid", 0.2f, 0.5f, true, true}, {"Elu", 1, 0, true, false},
    {"Softsign", 0, 0, false, false},     {"Softplus", 0, 0, false, false},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The kind whose name, in any case, is the text up to a comma or `end`; -1 for none.
int activation_kind(const char* text, const char* end) {
  for (int kind = 0; kind <= kSoftplus; ++kind) {
    const char *name = kActivationNames[kind].name, *at = text;
    while (*name != '\0' && at < end && lower(*at) == lower(*name)) {
      ++name;
      ++at;
    }
    if (*name == '\0' && at == end) return kind;
  }
  return -1;
}

// "Sigmoid,Tanh,Tanh" for each direction, with the values of those functions that take any, in order.
bool read_activations(const gk_call* call, RecurrentState* s) {
  const int count = kCells[s->cell].activations, total = count * static_cast<int>(s->directions);
  const gk_attribute* names = find_attribute(call, "activations", GK_ATTRIBUTE_STRING);
  const Floats alphas = floats_attribute(call, "activation_alpha"), betas = floats_attribute(call, "activation_beta");
  const char* text = names == nullptr ? nullptr : names->value.s;
  const char* const end = text == nullptr ? nullptr : text + names->length;
  if (text == end) text = nullptr;
  int alpha = 0, beta = 0;
  for (int i = 0; i < total; ++i) {
    int kind = s->cell == kRnn || i % count > 0 ? kTanh : kSigmoid;
    if (text != nullptr) {
      const char* stop = text;
      while (stop < end && *stop != ',') ++stop;
      kind = activation_kind(text, stop);
      if (kind < 0 || (stop == end) != (i + 1 == total)) return false;
      text = stop < end ? stop + 1 : end;
    }
    const ActivationName& name = kActivationNames[kind];
    Activation& activation = s->activations[i / count][i % count];
    activation = {static_cast<ActivationKind>(kind), name.alpha, name.beta};
    if (name.takes_alpha && alpha < alphas.length) activation.alpha = static_cast<float>(alphas.data[alpha++]);
    if (name.takes_beta && beta < betas.length) activation.beta = static_cast<float>(betas.data[beta++]);
  }
  return true;
}

int read_direction(const gk_call* call, RecurrentState* s) {
  const char* direction = string_attribute(call, "direction", "forward");
  const bool both = same_text(direction, "bidirectional"), backward = same_text(direction, "reverse");
  if (!both && !backward && !same_text(direction, "forward")) return GK_INVALID_ARGUMENT;
  s->directions = both ? 2 : 1;
  s->backward[0] = backward;
  s->backward[1] = 1;
  return GK_OK;
}

int check_tensors(const gk_call* call, const RecurrentState& s) {
  const int64_t gates = kCells[s.cell].gates;
  const bool lstm = s.cell == kLstm;
  const int inputs = lstm ? 8 : 6, outputs = lstm ? 3 : 2;
  if (call->input_count > inputs || call->output_count > outputs) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < call->input_count; ++i) {
    if (!has_input(call, i)) continue;
    if (i == 4 ? !is_dtype(call->inputs[i], GK_INT, 32) : !is_f32(call->inputs[i])) return GK_UNSUPPORTED;
  }
  const auto wrong = [&](int index, int64_t a, int64_t b, int64_t c = -1) {
    return has_input(call, index) && !has_shape(call->inputs[index], a, b, c);
  };
  const int64_t d = s.directions, first = s.batch_first ? s.batch : d, second = s.batch_first ? d : s.batch;
  if (wrong(1, d, gates * s.hidden, s.inputs) || wrong(2, d, gates * s.hidden, s.hidden) ||
      wrong(3, d, 2 * gates * s.hidden) || wrong(5, first, second, s.hidden) || wrong(6, first, second, s.hidden) ||
      wrong(7, d, 3 * s.hidden) || !is_compact(call->inputs[0])) {
    return GK_INVALID_ARGUMENT;
  }
  if (has_input(call, 4) && (call->inputs[4].ndim != 1 || call->inputs[4].shape[0] != s.batch)) {
    return GK_INVALID_ARGUMENT;
  }
  for (int i = 0; i < call->output_count; ++i) {
    if (!is_output(call, i)) continue;
    const gk_tensor& output = call->outputs[i];
    if (!is_f32(output)) return GK_UNSUPPORTED;
    const bool fits = i > 0             ? has_shape(output, first, second, s.hidden)
                      : s.batch_first ? has_shape(output, s.batch, s.steps, d, s.hidden)
                                      : has_shape(output, s.steps, d, s.batch, s.hidden);
    if (!fits) return GK_INVALID_ARGUMENT;
  }
  return GK_OK;
}

// Where everything lies in the packed weights and in the workspace.
void lay_out(RecurrentState* s) {
  const CellLayout& layout = kCells[s->cell];
  s->panels = (s->hidden + layout.blocks * kLanes - 1) / (layout.blocks * kLanes);
  s->width = s->panels * layout.blocks * kLanes;
  int64_t at = 0;
  const auto take = [&](int64_t floats) {
    const int64_t offset = at;
    at += round_up(floats, GK_ALIGNMENT / 4);
    return offset;
  };
  for (int g = 0; g < layout.groups; ++g) {
    const int64_t columns = s->panels * layout.group[g].vectors * kLanes;
    s->w_offset[g] = take(columns * s->inputs);
    s->r_offset[g] = take(columns * s->hidden);
    s->bias_offset[g] = take(columns);
  }
  s->hidden_bias_offset = take(s->width);
  s->peephole_offset = take(3 * s->width);
  s->weight_floats = at;
  at = 0;
  s->weights_at = s->packed ? 0 : take(s->weight_floats * s->directions);
  for (int g = 0; g < layout.groups; ++g) {
    const int64_t columns = s->panels * layout.group[g].vectors * kLanes;
    s->gates_at[g] = take(columns * s->steps * s->batch * s->directions);
  }
  // Two states in turn and up to two more vectors for each batch row.
  s->state_at = take(4 * s->width * s->batch * s->directions);
  s->workspace_floats = at;
}

// Row `unit` of gate `gate` of a [gates · hidden] axis.
int64_t gate_row(const RecurrentState& s, const GateGroup& group, int64_t panel, int v, int lane) {
  const int64_t unit = (panel * kCells[s.cell].blocks + group.block[v]) * kLanes + lane;
  return unit < s.hidden ? group.gate[v] * s.hidden + unit : -1;
}

// [gates · hidden][depth] → panels of [depth][vectors · kLanes].
void pack_matrix(const RecurrentState& s, const GateGroup& group, const float* from, int64_t depth, float* to) {
  for (int64_t panel = 0; panel < s.panels; ++panel) {
    for (int v = 0; v < group.vectors; ++v) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const int64_t row = gate_row(s, group, panel, v, lane), ld = group.vectors * kLanes;
        float* column = to + panel * depth * ld + v * kLanes + lane;
        for (int64_t k = 0; k < depth; ++k) column[k * ld] = row < 0 ? 0.0f : from[row * depth + k];
      }
    }
  }
}

}  // namespace

void pack_recurrent_direction(const gk_call* call, const RecurrentState& s, int64_t direction, float* to) {
  const CellLayout& layout = kCells[s.cell];
  const int64_t rows = layout.gates * s.hidden;
  const float* bias = has_input(call, 3) ? data_of<const float>(call->inputs[3]) + direction * 2 * rows : nullptr;
  for (int g = 0; g < layout.groups; ++g) {
    const GateGroup& group = layout.group[g];
    pack_matrix(s, group, data_of<const float>(call->inputs[1]) + direction * rows * s.inputs, s.inputs,
                to + s.w_offset[g]);
    pack_matrix(s, group, data_of<const float>(call->inputs[2]) + direction * rows * s.hidden, s.hidden,
                to + s.r_offset[g]);
    for (int64_t column = 0; column < s.panels * group.vectors * kLanes; ++column) {
      const int64_t panel = column / (group.vectors * kLanes);
      const int v = static_cast<int>(column / kLanes % group.vectors);
      const int64_t row = gate_row(s, group, panel, v, static_cast<int>(column % kLanes));
      // The hidden gate of linear_before_reset adds its recurrent bias before r is applied.
      const bool apart = s.cell == kGruLinear && group.gate[v] == 2;
      to[s.bias_offset[g] + column] = row < 0 || bias == nullptr ? 0.0f : bias[row] + (apart ? 0.0f : bias[rows + row]);
    }
  }
  for (int64_t unit = 0; unit < s.width; ++unit) {
    const bool inside = unit < s.hidden;
    to[s.hidden_bias_offset + unit] =
        inside && bias != nullptr && s.cell == kGruLinear ? bias[rows + 2 * s.hidden + unit] : 0.0f;
    for (int p = 0; p < 3; ++p) {
      to[s.peephole_offset + p * s.width + unit] =
          inside && has_input(call, 7) ? data_of<const float>(call->inputs[7])[(direction * 3 + p) * s.hidden + unit]
                                       : 0.0f;
    }
  }
}

int prepare_recurrent(const gk_call* call, RecurrentCell cell, RecurrentState* s, gk_prepared* prepared) {
  if (!has_input(call, 0) || !has_input(call, 1) || !has_input(call, 2) || call->output_count < 1) {
    return GK_INVALID_ARGUMENT;
  }
  s->cell = cell;
  if (cell == kGruReset && int_attribute(call, "linear_before_reset", 0) != 0) s->cell = kGruLinear;
  const gk_tensor &x = call->inputs[0], &r = call->inputs[2];
  if (x.ndim != 3 || r.ndim != 3) return GK_INVALID_ARGUMENT;
  const int status = read_direction(call, s);
  if (status != GK_OK) return status;
  s->batch_first = int_attribute(call, "layout", 0) != 0;
  s->steps = x.shape[s->batch_first ? 1 : 0];
  s->batch = x.shape[s->batch_first ? 0 : 1];
  s->inputs = x.shape[2];
  s->hidden = r.shape[2];
  if (int_attribute(call, "hidden_size", s->hidden) != s->hidden) return GK_INVALID_ARGUMENT;
  const int checked = check_tensors(call, *s);
  if (checked != GK_OK) return checked;
  if (!read_activations(call, s)) return GK_INVALID_ARGUMENT;
  s->input_forget = int_attribute(call, "input_forget", 0) != 0;
  s->clip = static_cast<float>(float_attribute(call, "clip", 0.0));
  s->has_clip = s->clip > 0;
  s->packed = is_constant(call, 1) && is_constant(call, 2) && (!has_input(call, 3) || is_constant(call, 3)) &&
              (!has_input(call, 7) || is_constant(call, 7));
  lay_out(s);
  if (s->packed) {
    prepared->packed_bytes = static_cast<uint64_t>(s->weight_floats * s->directions) * 4;
    prepared->packed_format = 1;
  }
  prepared->workspace_bytes = static_cast<uint64_t>(s->workspace_floats) * 4;
  return GK_OK;
}

int pack_recurrent(const gk_call* call, const RecurrentState* s) {
  for (int64_t d = 0; d < s->directions; ++d) {
    pack_recurrent_direction(call, *s, d, static_cast<float*>(call->packed) + d * s->weight_floats);
  }
  return GK_OK;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
