// The phases of a batch, one after the other; within each, rows and matrices are split over threads.
// How work is split never changes a result: every output is computed whole by one kernel call.
#include "kernels/cpu/pass.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

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
    case Op::matmul: return step.args.n_experts == 0 ? convert(step, i) : void();
    case Op::route: return cpu::route(input(step.a, step.out, i), step.args, row(step.out, i));
    case Op::rope: return rope(step, i);
    case Op::attend: return store_kv(step, i);
    case Op::gate:
      return kernels_.floats.gate(input(step.a, step.out, i), input(step.b, step.out, i), row(step.out, i),
                                  step.out.width, step.args.activation);
    case Op::add: return add(step, i);
    case Op::gather: return reorder(step, i);
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

void Pass::reorder(const Step& step, std::size_t i) {
  const float* in = input(step.a, step.out, i);
  std::ranges::transform(p_.plan->orders[step.args.order], row(step.out, i),
                         [&](std::uint32_t column) { return in[column]; });
}

void Pass::add(const Step& step, std::size_t i) {
  const float *a = input(step.a, step.out, i), *b = input(step.b, step.out, i);
  float* out = row(step.out, i);
  for (std::size_t c = 0; c < step.b.width; c += step.out.width, a = out)
    kernels_.floats.add(a, b + c, out, step.out.width);
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
               .sinks = step.w == no_weight ? nullptr : p_.vector(step.w),
               .pool = p_.kv.data(),
               .page_bytes = p_.layout.page_bytes,
               .scratch = scratch(0),
               .scratch_stride = p_.layout.scratch_stride,
               .shared = p_.activations.data() + p_.layout.attend_shared},
              pool_, stop_);
}

void Pass::add_split(const Step& step, std::uint32_t expert, std::size_t first, std::size_t n_tokens,
                     std::size_t n_matrices) {
  const WeightPlace& place = p_.layout.weights[step.w + expert];
  const MatmulKernel& kernel = *place.kernel;
  const auto ceil_div = [](std::size_t a, std::size_t b) { return (a + b - 1) / b; };
  const std::size_t most =
      std::clamp<std::size_t>(part_macs / (kernel.row_tile * place.cols), 1,
                              std::min(kernel.token_tile, expert_tile / kernel.row_tile));
  const std::size_t token_parts = ceil_div(n_tokens, most);
  const std::size_t tokens = ceil_div(n_tokens, token_parts);
  const std::size_t share = place.rows * token_parts * n_matrices / (pool_.size() * parts_per_thread);
  std::size_t rows = std::min({part_macs / (tokens * place.cols), part_weights / place.cols, share});
  if (step.args.n_experts != 0) rows = std::min(rows, expert_tile / tokens);
  const std::size_t tiles = std::max<std::size_t>(1, rows / kernel.row_tile);
  const std::size_t row_parts = ceil_div(place.rows, tiles * kernel.row_tile);
  p_.splits.push_back({.step = &step,
                       .expert = expert,
                       .first = first,
                       .n_tokens = n_tokens,
                       .tokens = tokens,
                       .rows = tiles * kernel.row_tile,
                       .row_parts = row_parts,
                       .end_part = row_parts * token_parts});
  if (p_.splits.size() > 1) p_.splits.back().end_part += (p_.splits.end() - 2)->end_part;
}

void Pass::gather(const Step& step, std::size_t n_tokens) {
  p_.uses.group(n_tokens, step.args, [&](std::size_t i) { return input(step.b, step.out, i); });
  const WeightPlace& place = p_.layout.weights[step.w];
  const ActivationForm& form = *place.kernel->form;
  const std::size_t n_used = step.args.n_used, bytes = form.bytes(place.cols);
  const bool own = step.a.width != place.cols;  // an input for each expert
  for_rows(n_tokens, n_used * place.cols, [&](std::size_t i) {
    const auto at = [&](std::size_t j) {
      return p_.activations.data() + p_.layout.converted + p_.uses.place[i * n_used + j] * bytes;
    };
    const float* in = input(step.a, step.out, i);
    for (std::size_t j = 0; j < n_used; ++j) {
      if (own || j == 0)
        form.convert(in + j * place.cols, place.cols, at(j));
      else
        std::memcpy(at(j), at(0), bytes);
    }
  });
}

void Pass::matmuls(std::span<const Step> steps, std::size_t n_tokens) {
  if (n_tokens == 0) return;
  const std::uint32_t n_experts = steps.front().args.n_experts;
  p_.splits.clear();
  if (n_experts != 0) gather(steps.front(), n_tokens);
  const std::vector<std::uint32_t>& begin = p_.uses.begin;
  const auto is_used = [&](std::uint32_t expert) { return begin[expert] != begin[expert + 1]; };
  std::size_t n_in_use = 0;
  for (std::uint32_t e = 0; e < n_experts; ++e) n_in_use += is_used(e);
  for (const Step& step : steps) {
    if (n_experts == 0) add_split(step, 0, 0, n_tokens, 1);
    for (std::uint32_t e = 0; e < n_experts; ++e)
      if (is_used(e)) add_split(step, e, begin[e], begin[e + 1] - begin[e], n_in_use);
  }
  pool_.for_each(p_.splits.back().end_part, stop_, [&](std::size_t part, std::uint32_t thread) {
    const auto split = std::ranges::upper_bound(p_.splits, part, {}, &MatmulSplit::end_part);
    matmul_part(*split, split == p_.splits.begin() ? part : part - (split - 1)->end_part, thread);
  });
}

void Pass::matmul_part(const MatmulSplit& split, std::size_t part, std::uint32_t thread) {
  const Step& step = *split.step;
  const Matrix matrix = p_.matrix(step.w + split.expert);
  const MatmulKernel& kernel = *p_.layout.weights[step.w + split.expert].kernel;
  const std::size_t token = part / split.row_parts * split.tokens;
  const std::size_t n_tokens = std::min(split.tokens, split.n_tokens - token);
  const std::size_t begin = part % split.row_parts * split.rows;
  const std::size_t end = std::min(matrix.rows, begin + split.rows);
  const bool experts = step.args.n_experts != 0;
  float* tile = reinterpret_cast<float*>(scratch(thread));
  kernel.run({.matrix = matrix,
              .row_begin = begin,
              .row_end = end,
              .activations = p_.activations.data() + p_.layout.converted +
                             (split.first + token) * kernel.form->bytes(matrix.cols),
              .n_tokens = n_tokens,
              .out = experts ? tile - begin : row(step.out, token),
              .out_stride = experts ? end - begin : stride(step.out),
              .scratch = scratch(thread) + (experts ? expert_tile * sizeof(float) : 0)});
  if (experts) return scatter(split, split.first + token, n_tokens, begin, end, tile);
  for (std::size_t t = token; t < token + n_tokens; ++t)
    finish(split, begin, end, row(step.out, t) + begin, step.args.scale);
}

// What follows the sums of one row's outputs [begin, end), which are at `out`.
void Pass::finish(const MatmulSplit& split, std::size_t begin, std::size_t end, float* out,
                  float scale) const {
  const Args& args = split.step->args;
  const float* bias = args.bias == no_weight ? nullptr : p_.vector(args.bias + split.expert) + begin;
  if (bias == nullptr && scale == 1.0f && args.softcap == 0.0f) return;
  kernels_.floats.finish(out, bias, end - begin, scale, args.softcap);
}

// Outputs of one expert to the rows that they belong to.
void Pass::scatter(const MatmulSplit& split, std::size_t first, std::size_t n_tokens, std::size_t begin,
                   std::size_t end, float* tile) const {
  const Step& step = *split.step;
  const std::size_t n_used = step.args.n_used, rows = step.out.width / n_used;
  for (std::size_t t = 0; t < n_tokens; ++t, tile += end - begin) {
    const std::size_t i = p_.uses.use[first + t] / n_used, j = p_.uses.use[first + t] % n_used;
    finish(split, begin, end, tile, step.args.weighted ? input(step.b, step.out, i)[n_used + j] : 1.0f);
    std::copy(tile, tile + (end - begin), row(step.out, i) + j * rows + begin);
  }
}

}  // namespace nibble::inline v0::cpu
