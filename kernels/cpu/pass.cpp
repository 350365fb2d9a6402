// The phases of a batch, one after the other; within each, rows and matrices are split over threads.
// How work is split never changes a result: every output is computed whole by one kernel call.
#include "kernels/cpu/pass.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "nibble/backend/check.hpp"

namespace nibble::inline v0::cpu {

namespace {

// Floats that a part of a phase's rows writes: enough to be worth a thread's attention.
constexpr std::size_t part_elements = 1 << 14;
constexpr std::size_t angle_cost = 32;  // a cosine and a sine, beside writing a float

// Parts of a matmul: so many for each thread, where it is large enough, and not more weights than this, so
// that the others wait for little when a thread is slow.
constexpr std::size_t parts_per_thread = 16;
constexpr std::size_t part_weights = 1 << 19;

}  // namespace

std::size_t Pass::n_rows(Rows rows) const {
  return rows == Rows::tokens ? batch_.tokens.size() : batch_.outputs.size();
}

std::size_t Pass::stride(const Slot& slot) const { return p_.layout.strides[slot.buffer]; }

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
void Pass::for_rows(std::size_t rows, std::size_t width, const Work& work) {
  const std::size_t each = std::max<std::size_t>(1, part_elements / (width + 1));
  pool_.for_each((rows + each - 1) / each, stop_, [&](std::size_t part, std::uint32_t) {
    for (std::size_t i = part * each; i < std::min(rows, (part + 1) * each); ++i) work(i);
  });
}

void Pass::run() {
  compute_angles();
  for (const Phase& phase : p_.layout.phases) {
    throw_if_stopped(stop_);
    rows_of(phase);
    throw_if_stopped(stop_);
    shared_steps(phase);
  }
  throw_if_stopped(stop_);
}

void Pass::rows_of(const Phase& phase) {
  const Step* steps = p_.plan->steps.data();
  for_rows(n_rows(phase.rows), phase.width, [&](std::size_t i) {
    for (std::size_t s = phase.first; s < std::min(phase.shared + 1, phase.last); ++s) step_row(steps[s], i);
  });
}

void Pass::shared_steps(const Phase& phase) {
  if (phase.shared == phase.last) return;
  const Step* steps = p_.plan->steps.data();
  if (steps[phase.shared].op == Op::attend)
    attend(steps[phase.shared]);
  else
    matmuls({steps + phase.shared, steps + phase.last}, n_rows(phase.rows));
}

void Pass::step_row(const Step& step, std::size_t i) {
  switch (step.op) {
    case Op::embed: return embed(step, i);
    case Op::norm: return norm(step, i);
    case Op::matmul: return convert(step, i);
    case Op::rope: return rope(step, i);
    case Op::attend: return store_kv(step, i);
    case Op::gate:
      return kernels_.floats.gate(input(step.a, step.out, i), input(step.b, step.out, i), row(step.out, i),
                                  step.out.width, step.args.activation);
    case Op::add:
      return kernels_.floats.add(input(step.a, step.out, i), input(step.b, step.out, i), row(step.out, i),
                                 step.out.width);
    case Op::gather: return gather(step, i);
  }
}

void Pass::compute_angles() {
  for (std::size_t r = 0; r < p_.plan->ropes.size(); ++r) {
    const RopeTable& table = p_.plan->ropes[r];
    const std::size_t pairs = table.inverse_frequency.size();
    float* angles = reinterpret_cast<float*>(p_.activations.data() + p_.layout.angles[r]);
    for_rows(batch_.tokens.size(), angle_cost * pairs, [&](std::size_t t) {
      float *cos = angles + t * 2 * pairs, *sin = cos + pairs;
      for (std::size_t j = 0; j < pairs; ++j) {
        const double angle = static_cast<float>(batch_.positions[t]) * table.inverse_frequency[j];
        cos[j] = static_cast<float>(std::cos(angle)) * table.magnitude;
        sin[j] = static_cast<float>(std::sin(angle)) * table.magnitude;
      }
    });
  }
}

void Pass::embed(const Step& step, std::size_t i) {
  float* out = row(step.out, i);
  p_.layout.weights[step.w].kernel->decode_row(p_.matrix(step.w), static_cast<std::size_t>(batch_.tokens[i]),
                                               out);
  for (std::size_t c = 0; c < step.out.width; ++c) out[c] *= step.args.scale;
}

void Pass::norm(const Step& step, std::size_t i) {
  const float *weight = p_.vector(step.w), *in = input(step.a, step.out, i);
  float* out = row(step.out, i);
  for (std::size_t c = 0; c < step.out.width; c += step.args.group)
    kernels_.floats.norm(in + c, weight, out + c, step.args.group, step.args.eps);
}

void Pass::rope(const Step& step, std::size_t i) {
  const RopeTable& table = p_.plan->ropes[step.args.rope];
  const std::size_t pairs = table.inverse_frequency.size();
  const float* cos =
      reinterpret_cast<const float*>(p_.activations.data() + p_.layout.angles[step.args.rope]) +
      token(step.out, i) * 2 * pairs;
  float* out = row(step.out, i);
  for (std::size_t h = 0; h < step.args.n_heads; ++h)
    kernels_.floats.rope(out + h * step.args.head_dim, cos, cos + pairs, pairs, table.pairs);
}

void Pass::gather(const Step& step, std::size_t i) {
  const float* in = input(step.a, step.out, i);
  std::ranges::transform(p_.plan->orders[step.args.order], row(step.out, i),
                         [&](std::uint32_t column) { return in[column]; });
}

void Pass::convert(const Step& step, std::size_t i) {
  const ActivationForm& form = *p_.layout.weights[step.w].kernel->form;
  form.convert(input(step.a, step.out, i), step.a.width,
               p_.activations.data() + p_.layout.converted + i * form.bytes(step.a.width));
}

void Pass::store_kv(const Step& step, std::size_t i) {
  const std::size_t heads = step.args.n_kv_heads, head_dim = step.args.head_dim;
  const std::size_t head_bytes = kv_head_bytes(options_.kv_type, head_dim);
  const KvSequence& kv = *batch_.sequences[batch_.sequence[i]].kv;
  const std::uint32_t position = batch_.positions[i];
  std::byte* head = p_.kv.data() + kv.pages[step.args.layer][position / kv_page_size] * p_.layout.page_bytes;
  const float* in = row(step.b, i);  // keys of all heads, then values
  for (std::size_t h = 0; h < 2 * heads; ++h, in += head_dim, head += head_bytes)
    write_slot(options_.kv_type, h < heads ? KvPart::keys : KvPart::values, head_dim, position % kv_page_size,
               in, head);
}

void Pass::attend(const Step& step) {
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

// A matmul's parts: `tokens` by `rows` outputs each, rows running fastest.
struct Pass::MatmulSplit {
  std::size_t n_tokens, tokens, rows, row_parts, parts;
};

Pass::MatmulSplit Pass::split(const Step& step, std::size_t n_tokens) const {
  const WeightPlace& place = p_.layout.weights[step.w];
  const MatmulKernel& kernel = *place.kernel;
  const auto ceil_div = [](std::size_t a, std::size_t b) { return (a + b - 1) / b; };
  const std::size_t most =
      std::clamp<std::size_t>(part_macs / (kernel.row_tile * place.cols), 1, kernel.token_tile);
  const std::size_t token_parts = ceil_div(n_tokens, most);
  const std::size_t tokens = ceil_div(n_tokens, token_parts);
  const std::size_t share = place.rows * token_parts / (pool_.size() * parts_per_thread);
  const std::size_t rows = std::min({part_macs / (tokens * place.cols), part_weights / place.cols, share});
  const std::size_t tiles = std::max<std::size_t>(1, rows / kernel.row_tile);
  const std::size_t row_parts = ceil_div(place.rows, tiles * kernel.row_tile);
  return {.n_tokens = n_tokens,
          .tokens = tokens,
          .rows = tiles * kernel.row_tile,
          .row_parts = row_parts,
          .parts = row_parts * token_parts};
}

void Pass::matmuls(std::span<const Step> steps, std::size_t n_tokens) {
  if (n_tokens == 0) return;
  std::array<MatmulSplit, most_matmuls> splits;
  std::size_t parts = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    splits[i] = split(steps[i], n_tokens);
    parts += splits[i].parts;
  }
  pool_.for_each(parts, stop_, [&](std::size_t part, std::uint32_t thread) {
    std::size_t i = 0;
    for (; part >= splits[i].parts; ++i) part -= splits[i].parts;
    matmul_part(steps[i], splits[i], part, thread);
  });
}

void Pass::matmul_part(const Step& step, const MatmulSplit& split, std::size_t part, std::uint32_t thread) {
  const MatmulKernel& kernel = *p_.layout.weights[step.w].kernel;
  const Matrix matrix = p_.matrix(step.w);
  const std::size_t token = part / split.row_parts * split.tokens;
  const std::size_t n_tokens = std::min(split.tokens, split.n_tokens - token);
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
  const float* bias = args.bias == no_weight ? nullptr : p_.vector(args.bias) + begin;
  if (bias == nullptr && args.scale == 1.0f && args.softcap == 0.0f) return;
  for (std::size_t t = token; t < token + n_tokens; ++t)
    kernels_.floats.finish(row(step.out, t) + begin, bias, end - begin, args.scale, args.softcap);
}

}  // namespace nibble::inline v0::cpu
