// What a batch brings along goes to the device at once; then one launch or two for each step.
// How work is cut never changes a result: every output is computed whole, in one order.
#include "kernels/cuda/pass.hpp"

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "kernels/cuda/attend_cut.hpp"
#include "kernels/cuda/batch_words.hpp"
#include "kernels/cuda/ranking.hpp"
#include "nibble/backend/check.hpp"
#include "nibble/core/error.hpp"

namespace nibble::inline v0::cuda {

namespace {

std::uint32_t ceil_div(std::uint32_t a, std::uint32_t b) { return a / b + (a % b != 0); }

// A short pass has no more tokens than this, and sees no more spans of attention in all: its steps are over
// before anyone could call a stop late.
constexpr std::uint32_t few_tokens = 64, few_spans = 4096;
// Of a longer one no more steps are asked for before the device has done those before them.
constexpr std::uint64_t queued_steps = 8;
static_assert(queued_steps < most_marks);

// n or somewhat more, so that few different numbers come of it: 1, 2, 3, 4, 6, 8, 12, 16, ...
std::uint32_t round_up(std::uint32_t n) {
  const std::uint32_t power = std::bit_ceil(n);
  return n > 2 && n <= power / 4 * 3 ? power / 4 * 3 : power;
}
// How attention of so few rows is cut does not depend on whose they are.
constexpr std::uint32_t few_rows = few_tokens;

class Pass {
 public:
  Pass(const Prepared& p, Runtime& runtime, const BackendOptions& options, const Batch& batch,
       const std::stop_token& stop)
      : p_(p), plan_(*p.plan), runtime_(runtime), options_(options), batch_(batch), stop_(stop) {}

  void run(const Results& results, Passes& passes) {
    const WrittenWords words = write_words(p_, options_, batch_, results.ranking);
    shape_ = {n_tokens(), static_cast<std::uint32_t>(batch_.outputs.size()), rounded_spans(),
              results.ranking.n, results.ranking.n_tokens};
    const PassAhead foreseen = std::exchange(passes.ahead, {});
    const bool goes_on = foreseen.shape == shape_ && words.same_tokens;
    std::uint64_t mark = foreseen.mark;
    if (!goes_on || !foreseen.is_begun || !words.same) {
      upload(0, words.n);
      if (words.n_draws != 0) upload(p_.layout.in_batch.draws, words.n_draws);
      mark = launch(passes.recorded);
    }
    throw_if_stopped(stop_);
    if (shape_.n_ranked == 0) return download(results.logits);
    PassAhead ahead;
    if (results.ranking.ahead) ahead.shape = shape_;
    if (results.ranking.ahead && goes_on && is_short() && can_go_on(p_, batch_))
      begin(ahead, passes.recorded);
    runtime_.wait(mark);
    read_ranking(p_, shape_, batch_, results.ranked);
    for (RankedRow& row : results.ranked) row.ahead = ahead.is_begun;
    passes.ahead = ahead;
  }

 private:
  bool is_short() const {
    return n_tokens() <= few_tokens && std::uint64_t{n_tokens()} * shape_.spans <= few_spans;
  }

  void upload(std::uint64_t word, std::uint64_t n) {
    const std::uint64_t at = word * sizeof(std::uint32_t);
    runtime_.upload(p_.activation<std::byte>(p_.layout.batch + at), p_.batch.data() + at,
                    n * sizeof(std::uint32_t));
  }

  // Returns the mark behind it.
  std::uint64_t launch(RecordedPasses& recorded) {
    bool is_new = true;
    RecordedPass* pass = is_short() ? &recorded.find(shape_, is_new) : nullptr;
    if (!is_new && pass->recording == nullptr) record(*pass);
    if (!is_new && pass->recording != nullptr)
      runtime_.replay(*pass->recording);
    else
      launch_steps();
    return runtime_.mark();
  }

  // What it meets is not this call's: whoever goes on meets it again.
  void begin(PassAhead& ahead, RecordedPasses& recorded) {
    try {
      ahead.mark = launch(recorded);
      ahead.is_begun = true;
    } catch (const Error&) {
    }
  }

  // Memory that a recording takes is not planned for: where there is none, launches do.
  void record(RecordedPass& pass) {
    try {
      pass.recording = runtime_.record([&] { launch_steps(); });
    } catch (const Error& error) {
      if (error.code() != ErrorCode::out_of_memory) throw;
    }
  }

  // What it launches depends on shape_ and the plan alone: it may be recorded.
  void launch_steps() {
    for (std::size_t i = 0; i < plan_.ropes.size(); ++i) compute_angles(i);
    for (const Phase& phase : p_.layout.phases) {
      throw_if_stopped(stop_);
      run(phase);
      if (!is_short()) throttle();
    }
    if (shape_.n_ranked != 0 && shape_.n_outputs != 0) launch_ranking(p_, runtime_, shape_);
  }

  void throttle() {
    const std::uint64_t mark = runtime_.mark();
    if (mark >= queued_steps) runtime_.wait(mark - queued_steps);
  }

  void download(std::span<float> logits) {
    const std::uint64_t row = std::uint64_t{plan_.vocab_size} * sizeof(float);
    const std::uint64_t stride = p_.layout.strides[plan_.logits.buffer] * sizeof(float);
    const auto* from = p_.activation<std::byte>(p_.layout.buffers[plan_.logits.buffer]);
    auto* to = reinterpret_cast<std::byte*>(logits.data());
    if (row == stride) {
      runtime_.download(to, from, row * batch_.outputs.size());
    } else {
      for (std::size_t i = 0; i < batch_.outputs.size(); ++i)
        runtime_.download(to + i * row, from + i * stride, row);
    }
    runtime_.synchronise();
  }

  const std::uint32_t* in_batch(std::uint64_t place) const {
    return p_.activation<const std::uint32_t>(p_.layout.batch) + place;
  }
  std::uint32_t n_tokens() const { return static_cast<std::uint32_t>(batch_.tokens.size()); }
  bool is_tokens(const Slot& slot) const { return plan_.buffers[slot.buffer].rows == Rows::tokens; }
  std::uint32_t n_rows(const Slot& slot) const {
    return is_tokens(slot) ? n_tokens() : static_cast<std::uint32_t>(batch_.outputs.size());
  }
  std::uint32_t stride(const Slot& slot) const {
    return static_cast<std::uint32_t>(p_.layout.strides[slot.buffer]);
  }
  float* data(const Slot& slot) const {
    return p_.activation<float>(p_.layout.buffers[slot.buffer]) + slot.offset;
  }
  // The token of each row of a slot, or null: the same.
  const std::uint32_t* tokens_of(const Slot& slot) const {
    return is_tokens(slot) ? nullptr : in_batch(p_.layout.in_batch.outputs);
  }
  // The row of `slot` that belongs to each row of `out`, or null: the same.
  const std::uint32_t* from(const Slot& slot, const Slot& out) const {
    return is_tokens(slot) ? tokens_of(out) : nullptr;
  }
  Input input(const Slot& slot, const Slot& out) const { return {data(slot), stride(slot), from(slot, out)}; }
  Output output(const Slot& slot) const { return {data(slot), stride(slot), n_rows(slot), slot.width}; }
  const float* floats(WeightId id) const {
    return id == no_weight ? nullptr : p_.weight<const float>(p_.layout.weights[id].offset);
  }
  DeviceMatrix matrix(const Step& s) const {
    const WeightPlace& place = p_.layout.weights[s.w];
    const std::uint64_t next = s.args.n_experts > 1 ? p_.layout.weights[s.w + 1].offset - place.offset : 0;
    // Those that are joined follow each other.
    const std::uint32_t rows = s.op == Op::matmul && s.args.n_experts == 0 ? s.out.width : place.rows;
    return {place.format, rows, place.cols, p_.weight<const std::byte>(place.offset), next};
  }

  template <class Kernel>
  void launch_elementwise(const Kernel& kernel) {
    runtime_.launch({kernel.out.n_rows, ceil_div(kernel.out.width, Kernel::threads)}, kernel);
  }

  void compute_angles(std::size_t i) {
    const RopeTable& table = plan_.ropes[i];
    const auto pairs = static_cast<std::uint32_t>(table.inverse_frequency.size());
    runtime_.launch({n_tokens(), ceil_div(pairs, Angles::threads)},
                    Angles{in_batch(p_.layout.in_batch.positions), p_.weight<const float>(p_.layout.ropes[i]),
                           pairs, table.magnitude, p_.activation<float>(p_.layout.angles[i])});
  }

  void run(const Phase& phase) {
    const Step& first = plan_.steps[phase.first];
    switch (phase.kind) {
      case PhaseKind::step:
        if (first.op == Op::matmul) return matmul(phase);
        return first.op == Op::norm ? norm(phase) : run(first);
      case PhaseKind::matmuls:
      case PhaseKind::gated: return matmul(phase);
      case PhaseKind::add_norm: return add_norm(phase);
      case PhaseKind::attend: return attend(phase);
    }
  }

  void run(const Step& s) {
    switch (s.op) {
      case Op::embed: return embed(s);
      case Op::route:
        return runtime_.launch({n_rows(s.out)}, Route{input(s.a, s.out), s.args.n_experts, s.args.n_used,
                                                      s.args.softmax_all, output(s.out)});
      case Op::rope: return rope(s);
      case Op::norm:
      case Op::matmul:
      case Op::attend: break;  // by phases
      case Op::gate:
        return launch_elementwise(
            Gate{input(s.a, s.out), input(s.b, s.out), output(s.out), s.args.activation});
      case Op::add: return launch_elementwise(sum_of(s));
      case Op::gather:
        return launch_elementwise(Gather{input(s.a, s.out),
                                         p_.weight<const std::uint32_t>(p_.layout.orders[s.args.order]),
                                         output(s.out)});
    }
  }

  Add sum_of(const Step& s) const { return {input(s.a, s.out), input(s.b, s.out), s.b.width, output(s.out)}; }
  NormOfGroup norm_of(const Step& s) const { return {floats(s.w), s.args.group, s.args.eps}; }
  Rotation rotation_of(const Step& s) const {
    const RopeTable& table = plan_.ropes[s.args.rope];
    return {p_.activation<const float>(p_.layout.angles[s.args.rope]),
            static_cast<std::uint32_t>(table.inverse_frequency.size()), table.pairs};
  }

  // What the matmuls after a norm read, where it is the norm that converts it.
  ThenConvert then_convert(const Phase& phase, const Slot& out) const {
    if (!phase.converts) return {};
    const Step& next = plan_.steps[phase.last];
    return {{data(out), stride(out), nullptr, 1, out.width, p_.activation<std::byte>(p_.layout.scratch),
             p_.layout.weights[next.w].family->n_in_tiles(runtime_, n_rows(out), next.args.n_experts == 0)}};
  }
  void norm(const Phase& phase) {
    const Step& s = plan_.steps[phase.first];
    runtime_.launch({n_rows(s.out), s.out.width / s.args.group, Norm::shared_bytes},
                    Norm{input(s.a, s.out), norm_of(s), output(s.out), then_convert(phase, s.out)});
  }
  void add_norm(const Phase& phase) {
    const Step &add = plan_.steps[phase.last - 2], &norm = plan_.steps[phase.last - 1],
               &first = plan_.steps[phase.first];
    AddNorm kernel{{}, sum_of(add), norm_of(norm), output(norm.out), then_convert(phase, norm.out)};
    if (first.op == Op::norm) {
      kernel.before = norm_of(first);
      kernel.sum.b = input(first.a, add.out);
    }
    runtime_.launch({n_rows(add.out), 1, AddNorm::shared_bytes}, kernel);
  }

  void embed(const Step& s) {
    p_.layout.weights[s.w].family->look_up(
        runtime_, {.matrix = matrix(s),
                   .tokens = reinterpret_cast<const std::int32_t*>(in_batch(p_.layout.in_batch.tokens)),
                   .n_rows = n_rows(s.out),
                   .out = data(s.out),
                   .out_stride = stride(s.out),
                   .scale = s.args.scale});
  }

  void matmul(const Phase& phase) {
    const Step s = joined(plan_, phase);
    if (n_rows(s.out) == 0) return;
    const Args& g = s.args;
    Multiply work{.matrix = matrix(s),
                  .in = data(s.a),
                  .in_stride = stride(s.a),
                  .from = from(s.a, s.out),
                  .n_rows = n_rows(s.out),
                  .out = data(s.out),
                  .out_stride = stride(s.out),
                  .bias = floats(g.bias),
                  .scale = g.scale,
                  .softcap = g.softcap,
                  .gated = phase.kind == PhaseKind::gated,
                  .activation = plan_.steps[phase.last - 1].args.activation};
    if (g.n_experts != 0) {
      work.n_used = g.n_used;
      work.n_experts = g.n_experts;
      work.routed = data(s.b);
      work.routed_stride = stride(s.b);
      work.routed_from = from(s.b, s.out);
      work.own_inputs = s.a.width != work.matrix.cols;
      work.weighted = g.weighted;
    }
    work.scratch = p_.activation<std::byte>(p_.layout.scratch);
    work.converted = phase.converted;
    work.leaves_converted = phase.converts;
    p_.layout.weights[s.w].family->multiply(runtime_, work);
  }

  void rope(const Step& s) {
    const Rotation rotation = rotation_of(s);
    runtime_.launch({n_rows(s.out), ceil_div(s.args.n_heads * rotation.n_pairs, Rope::threads)},
                    Rope{output(s.out), tokens_of(s.out), s.args.n_heads, s.args.head_dim, rotation});
  }

  PagesOfLayer pages(const Args& args) const {
    const BatchPlaces& at = p_.layout.in_batch;
    return {p_.kv.data(), p_.layout.page_bytes, kv_head_bytes(options_.kv_type, args.head_dim),
            in_batch(at.table), in_batch(at.first + std::uint64_t{args.layer} * options_.max_tokens)};
  }

  void attend(const Phase& phase) {
    switch (options_.kv_type) {
      case KvType::F32: return attend<KvType::F32>(phase);
      case KvType::F16: return attend<KvType::F16>(phase);
      case KvType::BF16: return attend<KvType::BF16>(phase);
      case KvType::Q8_0: return attend<KvType::Q8_0>(phase);
    }
  }

  Heads heads(const Phase& phase, const Slot& slot, std::uint32_t n_heads) const {
    const HeadSteps steps = head_steps(plan_, phase, slot);
    return {data(slot), stride(slot), n_heads, steps.norm != nullptr ? norm_of(*steps.norm) : NormOfGroup{},
            steps.rope != nullptr ? rotation_of(*steps.rope) : Rotation{}};
  }

  template <KvType type>
  void attend(const Phase& phase) {
    const BatchPlaces& at = p_.layout.in_batch;
    const Step& s = plan_.steps[phase.last - 1];
    const Args& g = s.args;
    const Heads queries = heads(phase, s.a, g.n_heads), keys = heads(phase, keys_of(s), g.n_kv_heads);
    runtime_.launch(
        {n_tokens(), (queries.change() ? g.n_heads : 0) + 2 * g.n_kv_heads,
         StoreKv<type>::shared_bytes(g.head_dim)},
        StoreKv<type>{queries, keys, g.head_dim, in_batch(at.positions), in_batch(at.sequence), pages(g)});
    if (n_rows(s.out) == 0) return;
    const std::uint32_t group = g.n_heads / g.n_kv_heads;
    const AttendCut cut =
        cut_attend<type>(group, g.head_dim, n_rows(s.out) <= few_rows ? 1 : n_neighbours(s.out) * group);
    if constexpr (type == KvType::F32) {
      return cut.queries == 1 ? attend_rows<AttendFloats<1>>(s, cut) : attend_rows<AttendFloats<4>>(s, cut);
    } else {
      return cut.queries == 16 ? attend_rows<AttendTiles<type, 1>>(s, cut)
                               : attend_rows<AttendTiles<type, most_tiles<type>>>(s, cut);
    }
  }

  std::uint32_t sequence_of(const Slot& slot, std::uint32_t row) const {
    return batch_.sequence[token_of(batch_, is_tokens(slot) ? Rows::tokens : Rows::outputs, row)];
  }
  // Rows that follow each other in one sequence: on average.
  std::uint32_t n_neighbours(const Slot& slot) const {
    std::uint32_t sequences = 1;
    for (std::uint32_t i = 1; i < n_rows(slot); ++i)
      sequences += sequence_of(slot, i) != sequence_of(slot, i - 1);
    return n_rows(slot) / sequences;
  }
  // No fewer sequences than any chunk of so many rows holds.
  std::uint32_t n_runs(const Slot& slot, std::uint32_t rows) const {
    if (n_rows(slot) <= few_rows) return std::min(rows, n_rows(slot));
    std::uint32_t most = 1;
    for (std::uint32_t i = 0, runs = 1; i < n_rows(slot); ++i) {
      runs = i % rows == 0 ? 1 : runs + (sequence_of(slot, i) != sequence_of(slot, i - 1));
      most = std::max(most, runs);
    }
    return most;
  }

  std::uint32_t rounded_spans() const {
    return round_up(*std::ranges::max_element(batch_.positions) / attend_span + 1);
  }
  // No fewer spans than any row sees.
  std::uint32_t n_spans(const Step& s) const {
    if (s.args.window == 0) return shape_.spans;
    return std::min(shape_.spans, ceil_div(s.args.window - 1, attend_span) + 1);
  }

  template <class Kernel>
  void attend_rows(const Step& s, const AttendCut& cut) {
    const Args& g = s.args;
    const BatchPlaces& at = p_.layout.in_batch;
    const std::uint32_t rows = n_rows(s.out), runs = n_runs(s.out, cut.rows), spans = n_spans(s);
    const std::uint32_t blocks = ceil_div(rows, cut.rows) * g.n_kv_heads * cut.parts;
    Kernel kernel{.shape = {.n_kv_heads = g.n_kv_heads,
                            .group = g.n_heads / g.n_kv_heads,
                            .head_dim = g.head_dim,
                            .window = g.window,
                            .n_rows = rows,
                            .rows = cut.rows,
                            .queries = cut.queries,
                            .parts = cut.parts,
                            .runs = runs,
                            .token = tokens_of(s.out),
                            .positions = in_batch(at.positions),
                            .sequences = in_batch(at.sequence)},
                  .pages = pages(g),
                  .q = input(s.a, s.out),
                  .out = output(s.out),
                  .sinks = floats(s.w),
                  .scale = g.scale,
                  .softcap = g.softcap,
                  .partials = {},
                  .first_span = 0};
    const std::uint32_t together =
        spans_together(std::uint64_t{rows} * g.n_heads, std::uint64_t{blocks} * cut.columns * runs, spans);
    if (together == 1) return runtime_.launch({blocks * cut.columns, runs, cut.shared_bytes}, kernel);
    kernel.partials = {p_.activation<float>(p_.layout.scratch), together, rows * g.n_heads, g.head_dim};
    for (std::uint32_t first = 0; first < spans; first += together) {
      throw_if_stopped(stop_);
      kernel.first_span = first;
      runtime_.launch({blocks * cut.columns, runs * std::min(together, spans - first), cut.shared_bytes},
                      kernel);
      const bool is_last = first + together >= spans;
      const std::uint32_t pieces = merge_pieces(kernel.shape, is_last);
      runtime_.launch({blocks, runs * pieces}, MergeSpans{kernel.shape, kernel.out, kernel.sinks,
                                                          kernel.partials, first, is_last, pieces});
    }
  }

  const Prepared& p_;
  const Plan& plan_;
  Runtime& runtime_;
  const BackendOptions& options_;
  const Batch& batch_;
  const std::stop_token& stop_;
  PassShape shape_;
};

// A batch, in parts where its page table has no place for all of it.
void run_parts(const Prepared& prepared, Passes& passes, Runtime& runtime, const BackendOptions& options,
               const Batch& batch, const Results& results, const std::stop_token& stop) {
  std::vector<std::uint32_t> outputs;
  std::size_t first_output = 0;
  for (std::size_t first = 0; first < batch.tokens.size();) {
    Batch part = batch;
    part.tokens = batch.tokens.subspan(first);
    part.positions = batch.positions.subspan(first);
    part.sequence = batch.sequence.subspan(first);
    const std::size_t n = fitting_tokens(prepared, options, part);
    part.tokens = part.tokens.first(n);
    outputs.clear();
    for (const std::uint32_t token : batch.outputs.subspan(first_output))
      if (token < first + n) outputs.push_back(token - static_cast<std::uint32_t>(first));
    part.outputs = outputs;
    Pass(prepared, runtime, options, part, stop)
        .run(results.part(first_output, outputs.size(), prepared.plan->vocab_size), passes);
    first += n;
    first_output += outputs.size();
  }
}

}  // namespace

void run_batch(const Prepared& prepared, Passes& passes, Runtime& runtime, const BackendOptions& options,
               const Batch& batch, const Results& results, const std::stop_token& stop) {
  try {
    run_parts(prepared, passes, runtime, options, batch, results, stop);
  } catch (...) {
    // What was launched reads and writes memory of the caller.
    try {
      runtime.synchronise();
    } catch (const Error&) {  // the error on its way is the earlier one
    }
    throw;
  }
}

}  // namespace nibble::inline v0::cuda
