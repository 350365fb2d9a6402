// The steps of a batch, one after the other; within a step, rows and matrices are split over threads.
// How work is split never changes a result: every output is computed whole by one kernel call.
#include "kernels/cpu/pass.hpp"

#include <algorithm>
#include <cmath>

#include "nibble/backend/check.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu {

namespace {

// Elements of a part of a step that is not a matmul: enough to be worth a thread's attention.
constexpr std::size_t part_elements = 1 << 14;

// Parts of a matmul for each thread, where it is large enough, so that a slow thread holds nobody up.
constexpr std::size_t parts_per_thread = 4;

}  // namespace

std::size_t Pass::n_rows(const Slot& slot) const {
  return p_.plan->buffers[slot.buffer].rows == Rows::tokens ? batch_.tokens.size() : batch_.outputs.size();
}

std::size_t Pass::stride(const Slot& slot) const { return p_.plan->buffers[slot.buffer].width; }

float* Pass::row(const Slot& slot, std::size_t i) const {
  float* buffer =
      slot.buffer == p_.plan->logits.buffer
          ? logits_.data()
          : reinterpret_cast<float*>(p_.activations.data() + p_.layout.buffers[slot.buffer].offset);
  return buffer + i * stride(slot) + slot.offset;
}

std::size_t Pass::token(const Slot& slot, std::size_t i) const {
  return token_of(batch_, p_.plan->buffers[slot.buffer].rows, static_cast<std::uint32_t>(i));
}

const float* Pass::input(const Slot& slot, const Slot& out, std::size_t i) const {
  return row(slot, p_.plan->buffers[slot.buffer].rows == Rows::tokens ? token(out, i) : i);
}

std::byte* Pass::scratch(std::uint32_t thread) const {
  return p_.activations.data() + p_.layout.scratch + thread * p_.layout.scratch_stride;
}

template <class Work>
void Pass::for_rows(const Slot& out, const Work& work) {
  const std::size_t rows = n_rows(out), each = std::max<std::size_t>(1, part_elements / out.width);
  pool_.for_each((rows + each - 1) / each, stop_, [&](std::size_t part, std::uint32_t) {
    for (std::size_t i = part * each; i < std::min(rows, (part + 1) * each); ++i) work(i);
  });
}

void Pass::run() {
  compute_angles();
  const std::vector<Step>& steps = p_.plan->steps;
  for (std::size_t i = 0; i < steps.size();) {
    throw_if_stopped(stop_);
    const Step& step = steps[i];
    std::size_t next = i + 1;
    switch (step.op) {
      case Op::embed: embed(step); break;
      case Op::norm: norm(step); break;
      case Op::matmul: matmuls(i, next = same_input(i)); break;
      case Op::rope: rope(step); break;
      case Op::attend: attend(step); break;
      case Op::gate:
      case Op::add: elementwise(step); break;
    }
    i = next;
  }
  throw_if_stopped(stop_);
}

void Pass::compute_angles() {
  for (std::size_t r = 0; r < p_.plan->ropes.size(); ++r) {
    const RopeTable& table = p_.plan->ropes[r];
    const std::size_t pairs = table.inverse_frequency.size();
    float* angles = reinterpret_cast<float*>(p_.activations.data() + p_.layout.angles[r]);
    pool_.for_each(batch_.tokens.size(), stop_, [&](std::size_t t, std::uint32_t) {
      float *cos = angles + t * 2 * pairs, *sin = cos + pairs;
      for (std::size_t j = 0; j < pairs; ++j) {
        const double angle = static_cast<float>(batch_.positions[t]) * table.inverse_frequency[j];
        cos[j] = static_cast<float>(std::cos(angle)) * table.magnitude;
        sin[j] = static_cast<float>(std::sin(angle)) * table.magnitude;
      }
    });
  }
}

void Pass::embed(const Step& step) {
  const Matrix matrix = p_.matrix(step.w);
  const MatmulKernel& kernel = *p_.layout.weights[step.w].kernel;
  for_rows(step.out, [&](std::size_t i) {
    float* out = row(step.out, i);
    kernel.decode_row(matrix, static_cast<std::size_t>(batch_.tokens[i]), out);
    for (std::size_t c = 0; c < step.out.width; ++c) out[c] *= step.args.scale;
  });
}

void Pass::norm(const Step& step) {
  const float* weight = p_.vector(step.w);
  for_rows(step.out, [&](std::size_t i) {
    const float* in = input(step.a, step.out, i);
    float* out = row(step.out, i);
    for (std::size_t c = 0; c < step.out.width; c += step.args.group)
      kernels_.floats.norm(in + c, weight, out + c, step.args.group, step.args.eps);
  });
}

void Pass::rope(const Step& step) {
  const RopeTable& table = p_.plan->ropes[step.args.rope];
  const std::size_t pairs = table.inverse_frequency.size();
  const float* angles =
      reinterpret_cast<const float*>(p_.activations.data() + p_.layout.angles[step.args.rope]);
  for_rows(step.out, [&](std::size_t i) {
    const float* cos = angles + token(step.out, i) * 2 * pairs;
    float* out = row(step.out, i);
    for (std::size_t h = 0; h < step.args.n_heads; ++h)
      kernels_.floats.rope(out + h * step.args.head_dim, cos, cos + pairs, pairs, table.pairs);
  });
}

void Pass::elementwise(const Step& step) {
  for_rows(step.out, [&](std::size_t i) {
    const float *a = input(step.a, step.out, i), *b = input(step.b, step.out, i);
    if (step.op == Op::add)
      kernels_.floats.add(a, b, row(step.out, i), step.out.width);
    else
      kernels_.floats.gate(a, b, row(step.out, i), step.out.width, step.args.activation);
  });
}

void Pass::store_kv(const Step& step) {
  const std::size_t heads = step.args.n_kv_heads, head_dim = step.args.head_dim;
  const std::size_t head_bytes = kv_head_bytes(options_.kv_type, head_dim);
  for_rows(step.b, [&](std::size_t t) {
    const KvSequence& kv = *batch_.sequences[batch_.sequence[t]].kv;
    const std::uint32_t position = batch_.positions[t];
    const PageId page = kv.pages[step.args.layer][position / kv_page_size];
    std::byte* head = p_.kv.data() + page * p_.layout.page_bytes;
    const float* in = row(step.b, t);  // keys of all heads, then values
    for (std::size_t h = 0; h < 2 * heads; ++h, in += head_dim, head += head_bytes)
      write_slot(options_.kv_type, h < heads ? KvPart::keys : KvPart::values, head_dim,
                 position % kv_page_size, in, head);
  });
}

void Pass::attend(const Step& step) {
  store_kv(step);
  throw_if_stopped(stop_);
  cut_tiles(batch_, p_.plan->buffers[step.out.buffer].rows, *kernels_.attend, step.args, p_.tiles);
  cpu::attend({.kernel = kernels_.attend,
               .kv_type = options_.kv_type,
               .args = &step.args,
               .batch = &batch_,
               .tiles = p_.tiles,
               .q_rows = p_.plan->buffers[step.a.buffer].rows,
               .q = row(step.a, 0),
               .q_stride = stride(step.a),
               .out = row(step.out, 0),
               .out_stride = stride(step.out),
               .pool = p_.kv.data(),
               .page_bytes = p_.layout.page_bytes,
               .scratch = scratch(0),
               .scratch_stride = p_.layout.scratch_stride,
               .shared = p_.activations.data() + p_.layout.attend_shared},
              pool_, stop_);
}

std::size_t Pass::same_input(std::size_t first) const {
  const std::vector<Step>& steps = p_.plan->steps;
  const auto rows = [&](const Step& s) { return p_.plan->buffers[s.out.buffer].rows; };
  const auto form = [&](const Step& s) { return p_.layout.weights[s.w].kernel->form; };
  std::size_t last = first + 1;
  while (last < steps.size() && steps[last].op == Op::matmul && steps[last].a == steps[first].a &&
         rows(steps[last]) == rows(steps[first]) && form(steps[last]) == form(steps[first])) {
    ++last;
  }
  return last;
}

// A matmul's parts: `tokens` by `rows` outputs each, rows running fastest.
struct Pass::MatmulSplit {
  std::size_t tokens, rows, row_parts, parts;
};

Pass::MatmulSplit Pass::split(const Step& step) const {
  const WeightPlace& place = p_.layout.weights[step.w];
  const MatmulKernel& kernel = *place.kernel;
  const auto ceil_div = [](std::size_t a, std::size_t b) { return (a + b - 1) / b; };
  const std::size_t n_tokens = n_rows(step.out);
  const std::size_t most =
      std::clamp<std::size_t>(part_macs / (kernel.row_tile * place.cols), 1, kernel.token_tile);
  const std::size_t token_parts = ceil_div(n_tokens, most);
  const std::size_t tokens = ceil_div(n_tokens, token_parts);
  const std::size_t share = place.rows * token_parts / (pool_.size() * parts_per_thread);
  const std::size_t rows = std::min(part_macs / (tokens * place.cols), share);
  const std::size_t tiles = std::max<std::size_t>(1, rows / kernel.row_tile);
  const std::size_t row_parts = ceil_div(place.rows, tiles * kernel.row_tile);
  return {.tokens = tokens,
          .rows = tiles * kernel.row_tile,
          .row_parts = row_parts,
          .parts = row_parts * token_parts};
}

void Pass::matmuls(std::size_t first, std::size_t last) {
  const Step* steps = p_.plan->steps.data();
  const Step& lead = steps[first];
  if (n_rows(lead.out) == 0) return;
  const ActivationForm& form = *p_.layout.weights[lead.w].kernel->form;
  std::byte* converted = p_.activations.data() + p_.layout.converted;
  for_rows(lead.out, [&](std::size_t i) {
    form.convert(input(lead.a, lead.out, i), lead.a.width, converted + i * form.bytes(lead.a.width));
  });
  throw_if_stopped(stop_);
  std::size_t parts = 0;
  for (std::size_t i = first; i < last; ++i) parts += split(steps[i]).parts;
  pool_.for_each(parts, stop_, [&](std::size_t part, std::uint32_t thread) {
    for (std::size_t i = first;; ++i) {
      const MatmulSplit s = split(steps[i]);
      if (part < s.parts) return matmul_part(steps[i], s, part, thread);
      part -= s.parts;
    }
  });
}

void Pass::matmul_part(const Step& step, const MatmulSplit& split, std::size_t part, std::uint32_t thread) {
  const MatmulKernel& kernel = *p_.layout.weights[step.w].kernel;
  const Matrix matrix = p_.matrix(step.w);
  const std::size_t token = part / split.row_parts * split.tokens;
  const std::size_t n_tokens = std::min(split.tokens, n_rows(step.out) - token);
  const std::size_t begin = part % split.row_parts * split.rows;
  const std::size_t end = std::min(matrix.rows, begin + split.rows);
  kernel.run(
      {.matrix = matrix,
       .row_begin = begin,
       .row_end = end,
       .activations = p_.activations.data() + p_.layout.converted + token * kernel.form->bytes(matrix.cols),
       .n_tokens = n_tokens,
       .out = row(step.out, token),
       .out_stride = stride(step.out),
       .scratch = scratch(thread)});
  const Args& args = step.args;
  const float* bias = args.bias == no_weight ? nullptr : p_.vector(args.bias);
  if (bias == nullptr && args.scale == 1.0f && args.softcap == 0.0f) return;
  for (std::size_t t = token; t < token + n_tokens; ++t) {
    float* out = row(step.out, t);
    for (std::size_t r = begin; r < end; ++r) {
      const float value = (bias == nullptr ? out[r] : out[r] + bias[r]) * args.scale;
      out[r] = args.softcap == 0.0f ? value : args.softcap * std::tanh(value / args.softcap);
    }
  }
}

}  // namespace nibble::inline v0::cpu
