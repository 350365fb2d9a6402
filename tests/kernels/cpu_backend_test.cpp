// The CPU backend itself: memory to the byte, packing, stopping, and every failed allocation.
// Counts allocations by replacing this program's operator new.
#include "kernels/cpu/backend.hpp"
#include "nibble/core/aligned_bytes.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#include "kernels/cpu/pass.hpp"
#include "nibble/core/error.hpp"
#include "support/catch.hpp"
#include "tests/kernels/toy_plan.hpp"

namespace {

// Totals since the program began.
std::atomic<std::int64_t> n_allocations{0}, n_alive{0};
// Of the backend's own blocks: whole lines, taken with room to begin at one.
std::atomic<std::int64_t> line_block_bytes{0};
// Counts down to an allocation that fails; negative: none does.
std::atomic<std::int64_t> allocations_left{-1};

void* count(void* memory) {
  ++n_allocations;
  ++n_alive;
  return memory;
}
bool refused() { return allocations_left >= 0 && allocations_left-- == 0; }
// Not inlined: GCC would take it for a mismatched pair.
[[gnu::noinline]] void give_back(void* memory) {
  if (memory != nullptr) --n_alive;
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) {
  void* memory = refused() ? nullptr : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  if (size % nibble::line_bytes == nibble::line_bytes - 1)
    line_block_bytes += static_cast<std::int64_t>(size - (nibble::line_bytes - 1));
  return count(memory);
}
// Sanitizers bring their own of this one, which would not go with the operator delete below.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return refused() ? nullptr : count(std::malloc(size));
}
void* operator new(std::size_t size, std::align_val_t align) {
  const std::size_t a = static_cast<std::size_t>(align);
  void* memory = refused() ? nullptr : std::aligned_alloc(a, (size + a - 1) / a * a);
  if (memory == nullptr) throw std::bad_alloc();
  return count(memory);
}
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }

using namespace nibble;

namespace {

// A tier whose one kernel packs: rows in pairs, each as floats, and sums in double.
constexpr std::size_t toy_tile = 2;
std::atomic<int> toy_runs{0};
std::atomic<std::size_t> toy_largest{0};  // multiplications of one job
std::stop_source* toy_stop = nullptr;     // requested by run number toy_stop_at
int toy_stop_at = 0;

const float* toy_row(const cpu::Matrix& m, std::size_t row) {
  return reinterpret_cast<const float*>(m.bytes) + row * m.cols;
}

constexpr cpu::ActivationForm toy_form = {
    [](std::size_t cols) { return (cols * sizeof(float) + 63) / 64 * 64; },
    [](const float* in, std::size_t cols, std::byte* out) { std::memcpy(out, in, cols * sizeof(float)); }};

void toy_run(const cpu::MatmulJob& job) {
  if (++toy_runs == toy_stop_at) toy_stop->request_stop();
  const std::size_t macs = (job.row_end - job.row_begin) * job.matrix.cols * job.n_tokens;
  for (std::size_t seen = toy_largest; macs > seen && !toy_largest.compare_exchange_weak(seen, macs);) {
  }
  for (std::size_t t = 0; t < job.n_tokens; ++t) {
    const auto* a = reinterpret_cast<const float*>(job.activations + t * toy_form.bytes(job.matrix.cols));
    for (std::size_t r = job.row_begin; r < job.row_end; ++r) {
      double sum = 0;
      for (std::size_t k = 0; k < job.matrix.cols; ++k) sum += double{a[k]} * toy_row(job.matrix, r)[k];
      job.out[t * job.out_stride + r] = static_cast<float>(sum);
    }
  }
}

constexpr cpu::MatmulKernel toy_kernel = {
    .name = "codes4/toy",
    .row_tile = toy_tile,
    .token_tile = 64,
    .packed_bytes = [](const Format&, std::size_t rows,
                       std::size_t cols) { return (rows + 1) / toy_tile * toy_tile * cols * sizeof(float); },
    .pack =
        [](const cpu::PackJob& job) {
          cpu::Matrix packed = job.matrix;
          packed.bytes = job.packed;
          const std::size_t bytes =
              job.matrix.cols / job.matrix.format->block_size * job.matrix.format->block_bytes;
          for (std::size_t r = job.row_begin; r < job.row_end; ++r)
            job.matrix.format->decode(job.matrix.bytes + r * bytes, const_cast<float*>(toy_row(packed, r)),
                                      job.matrix.cols);
        },
    .decode_row = [](const cpu::Matrix& m, std::size_t row,
                     float* out) { std::memcpy(out, toy_row(m, row), m.cols * sizeof(float)); },
    .form = &toy_form,
    .scratch_bytes = [](std::size_t) { return std::size_t{1}; },
    .run = toy_run};

// Only 4-bit codes; everything else is inherited.
constexpr cpu::KernelTable toy_table = {
    .tier = "toy",
    .matmul = [](const Format& format, std::size_t, std::size_t) -> const cpu::MatmulKernel* {
      return format.family == Family::codes4 ? &toy_kernel : nullptr;
    },
    .attend = nullptr,
    .floats = nullptr};

// embed from a table and matmul by the same: a tied embedding. (rows, cols), with a norm between.
ToyPlan tied_plan(const Format& format, std::uint32_t rows, std::uint32_t cols) {
  ToyPlan toy;
  const WeightId table = toy.weight("table", format, rows, cols, random_floats(std::size_t{rows} * cols, 1));
  const WeightId norm = toy.weight("norm", *find_format(Dtype::F16), 0, cols, random_floats(cols, 2));
  toy.weight("spare", *find_format(Dtype::F32), 3, 3, random_floats(9, 3));
  const Slot in{toy.buffer(cols), 0, cols}, normed{toy.buffer(cols), 0, cols};
  toy.plan.steps.push_back({.op = Op::embed, .out = in, .a = {}, .b = {}, .w = table, .args = {}});
  toy.plan.steps.push_back(
      {.op = Op::norm, .out = normed, .a = in, .b = {}, .w = norm, .args = {.eps = 1e-5f, .group = cols}});
  toy.finish({.op = Op::matmul, .out = {}, .a = normed, .b = {}, .w = table, .args = {}}, rows);
  toy.plan.buffers[in.buffer] = {.rows = Rows::tokens, .width = cols, .first_step = 0, .last_step = 1};
  toy.plan.buffers[normed.buffer] = {.rows = Rows::tokens, .width = cols, .first_step = 1, .last_step = 2};
  toy.plan.kv = {{.n_kv_heads = 3, .head_dim = 20, .window = 0}};
  return toy;
}

class CountingSource : public ByteSource {
 public:
  explicit CountingSource(std::span<const std::byte> bytes) : ByteSource("toy", bytes) {}
  void release(std::span<const std::byte> range) const noexcept override { released = range; }
  mutable std::span<const std::byte> released;
};

template <class Call>
ErrorCode code_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::internal;
}

const cpu::KernelTable& portable() { return *cpu::tiers().back().table; }

}  // namespace

TEST_CASE("a prepared backend takes what its plan says, to the byte") {
  const cpu::KernelTable& table = GENERATE(std::ref(portable()), std::ref(toy_table)).get();
  const Format& format = *find_format("Q4_0");
  const ToyPlan toy = tied_plan(format, 37, 96);
  for (const BackendOptions& options :
       {BackendOptions{.threads = 1},
        BackendOptions{.threads = 5, .max_tokens = 17, .max_outputs = 3, .kv_pages = 9},
        BackendOptions{.threads = 2, .kv_pages = 100, .kv_type = KvType::F32}}) {
    cpu::CpuBackend backend(table, options);
    const MemoryUse planned = backend.plan_memory(toy.plan, toy.weights);
    const std::int64_t before = line_block_bytes;
    backend.prepare(toy.plan, toy.weights, {});
    CHECK(static_cast<std::uint64_t>(line_block_bytes - before) == planned.total());
    CHECK(planned.kv == options.kv_pages * kv_page_bytes(toy.plan.kv, options.kv_type));
    const std::uint64_t file_bytes = 37 * row_bytes(format, 96);
    CHECK(planned.mapped == (&table == &toy_table ? 0 : file_bytes));
  }
}

TEST_CASE("running allocates nothing") {
  const ToyPlan toy = tied_plan(*find_format("Q4_0"), 200, 96);
  const BackendOptions options{.threads = 3, .kv_pages = 4};
  cpu::CpuBackend backend(portable(), options);
  backend.prepare(toy.plan, toy.weights, {});
  KvCache cache(toy.plan.kv, 4);
  KvSequence sequence = cache.make_sequence();
  cache.reserve(sequence, 2);
  const std::int32_t tokens[] = {5, 6};
  const std::uint32_t positions[] = {0, 1}, owner[] = {0, 0}, outputs[] = {0, 1};
  const BatchSequence sequences[] = {{&sequence}};
  std::vector<float> logits(400);
  const std::int64_t before = n_allocations;
  backend.run({.tokens = tokens,
               .positions = positions,
               .sequence = owner,
               .outputs = outputs,
               .sequences = sequences},
              logits, {});
  CHECK(n_allocations == before);
}

TEST_CASE("buffers share bytes exactly where they are not alive together") {
  std::mt19937 random(1);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<Lifetime> buffers(random() % 12 + 1);
    std::uint64_t sum = 0;
    for (Lifetime& b : buffers) {
      b.first = static_cast<std::uint32_t>(random() % 20);
      b.last = b.first + static_cast<std::uint32_t>(random() % 8);
      b.bytes = random() % 1000 + 1;
      sum += align_bytes(b.bytes);
    }
    const std::uint64_t end = place(buffers);
    REQUIRE(end <= sum);
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      const Lifetime& a = buffers[i];
      REQUIRE(a.offset % line_bytes == 0);
      REQUIRE(a.offset + a.bytes <= end);
      for (std::size_t j = 0; j < i; ++j) {
        const Lifetime& b = buffers[j];
        if (a.first <= b.last && b.first <= a.last) {
          REQUIRE((a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset));
        }
      }
    }
  }
  // One after the other: the same bytes again and again.
  std::vector<Lifetime> chain;
  for (std::uint32_t i = 0; i < 10; ++i) chain.push_back({.bytes = 640, .first = 2 * i, .last = 2 * i + 1});
  CHECK(place(chain) == 640);
}

TEST_CASE("buffers that one phase writes and reads row by row share no bytes, whatever their widths") {
  const std::uint32_t n = 16, tokens = 40;
  const std::vector<float> values = random_floats(std::size_t{tokens} * n, 1);
  ToyPlan toy;
  const Slot a = toy.inputs(n, values), b = Slot{toy.buffer(48), 32, n}, c = Slot{toy.buffer(160), 100, n};
  toy.plan.steps.push_back({.op = Op::add, .out = b, .a = a, .b = a, .w = no_weight, .args = {}});
  toy.plan.steps.push_back({.op = Op::add, .out = c, .a = b, .b = b, .w = no_weight, .args = {}});
  toy.finish({.op = Op::add, .out = {}, .a = c, .b = c, .w = no_weight, .args = {}}, n);
  for (std::uint32_t i = 0; i < 3; ++i) {
    toy.plan.buffers[i].first_step = i;
    toy.plan.buffers[i].last_step = i + 1;
  }
  const BackendOptions options{.threads = 1};
  cpu::CpuBackend backend(portable(), options);
  backend.prepare(toy.plan, toy.weights, {});
  std::vector<float> expected = values;
  for (float& x : expected) x *= 8;
  CHECK(same_bits(run_tokens(backend, toy, options, tokens, tokens), expected));
}

TEST_CASE(
    "a tier that packs serves lookup and output from one packed matrix and gives the file's pages back") {
  const Format& format = *find_format("Q4_0");
  ToyPlan toy = tied_plan(format, 37, 96);
  const auto file = std::make_shared<CountingSource>(toy.weights[0].tensor.bytes);
  toy.checkpoint.files.push_back(file);
  toy.resolve();
  BackendOptions options{.threads = 2, .kv_pages = 2};
  cpu::CpuBackend packing(toy_table, options), plain(portable(), options);
  std::vector<std::uint64_t> progress;
  Watch watch;
  watch.progress = [&](Stage stage, std::uint64_t done, std::uint64_t total) {
    CHECK(stage == Stage::pack);
    CHECK(total == 37 * row_bytes(format, 96));
    progress.push_back(done);
  };
  packing.prepare(toy.plan, toy.weights, watch);
  plain.prepare(toy.plan, toy.weights, {});
  CHECK(progress == std::vector<std::uint64_t>{37 * row_bytes(format, 96)});
  CHECK(file->released.data() == toy.weights[0].tensor.bytes.data());
  CHECK(file->released.size() == toy.weights[0].tensor.bytes.size());
  const std::vector<WeightPlacement> packed = packing.placements(toy.plan, toy.weights);
  const std::vector<WeightPlacement> in_place = plain.placements(toy.plan, toy.weights);
  CHECK(packed[0].kernel == "codes4/toy");
  CHECK_FALSE(packed[0].in_place);
  CHECK(in_place[0].kernel == "portable");
  CHECK(in_place[0].in_place);
  CHECK(in_place[2].kernel == "unused");

  toy_runs = 0;
  const std::vector<float> got = run_tokens(packing, toy, options, 30, 30);
  CHECK(toy_runs > 0);
  CHECK(nmse(got, run_tokens(plain, toy, options, 30, 30)) <= 1e-11);
}

TEST_CASE("a stop is seen within one part for each thread, and a part is small", "[threads]") {
  const Format& format = *find_format("Q4_0");
  for (std::uint32_t threads : {1, 3}) {
    const std::uint32_t rows = 3000, cols = 4096, n = 512;
    ToyPlan toy;
    const Slot in = toy.inputs(cols, std::vector<float>(std::size_t{8} * cols, 1.0f));
    const std::vector<std::byte> zeros(rows * row_bytes(format, cols));
    const WeightId w = toy.weight("w", format, rows, cols, zeros);
    toy.finish({.op = Op::matmul, .out = {}, .a = in, .b = {}, .w = w, .args = {}}, rows);
    const BackendOptions options{.threads = threads, .max_tokens = n, .max_outputs = n};
    cpu::CpuBackend backend(toy_table, options);
    backend.prepare(toy.plan, toy.weights, {});
    std::vector<std::int32_t> tokens(n, 3);
    std::vector<std::uint32_t> positions(n), owner(n, 0);
    for (std::uint32_t i = 0; i < n; ++i) positions[i] = i;
    const KvSequence sequence;
    const BatchSequence sequences[] = {{&sequence}};
    std::vector<float> logits(std::size_t{n} * rows);
    std::stop_source stop;
    toy_stop = &stop;
    toy_stop_at = 5;
    toy_runs = 0;
    toy_largest = 0;
    CHECK(code_of([&] {
            backend.run({.tokens = tokens,
                         .positions = positions,
                         .sequence = owner,
                         .outputs = positions,
                         .sequences = sequences},
                        logits, stop.get_token());
          }) == ErrorCode::cancelled);
    toy_stop_at = 0;
    CHECK(toy_runs >= 5);
    CHECK(toy_runs <= static_cast<int>(5 + threads - 1));
    CHECK(toy_largest <= cpu::part_macs);
  }
}

TEST_CASE("a stop before packing or running ends either") {
  const ToyPlan toy = tied_plan(*find_format("Q4_0"), 37, 96);
  const BackendOptions options{.threads = 2, .kv_pages = 2};
  std::stop_source stop;
  stop.request_stop();
  Watch watch;
  watch.stop = stop.get_token();
  cpu::CpuBackend backend(toy_table, options);
  CHECK(code_of([&] { backend.prepare(toy.plan, toy.weights, watch); }) == ErrorCode::cancelled);
  backend.prepare(toy.plan, toy.weights, {});
  KvCache cache(toy.plan.kv, 2);
  CHECK(code_of([&] { run_tokens(backend, toy, cache, 3, 3, stop.get_token()); }) == ErrorCode::cancelled);
}

TEST_CASE("Q8_0 caches need whole blocks: refused when the plan is") {
  const ToyPlan toy = tied_plan(*find_format("Q4_0"), 37, 96);  // its heads are 20 wide
  for (const char* name : {"cpu", "reference"}) {
    const auto backend = make_backend(name, {.threads = 1, .kv_pages = 1, .kv_type = KvType::Q8_0});
    CHECK(code_of([&] { backend->plan_memory(toy.plan, toy.weights); }) == ErrorCode::unsupported);
    CHECK(code_of([&] { backend->prepare(toy.plan, toy.weights, {}); }) == ErrorCode::unsupported);
  }
}

TEST_CASE("every failed allocation of making and preparing ends in out_of_memory and leaks nothing") {
  const ToyPlan toy = tied_plan(*find_format("Q4_0"), 37, 96);
  std::int64_t allocations_of_counting = n_allocations;
  cpu::available_cpus();
  allocations_of_counting = n_allocations - allocations_of_counting;
  for (const char* name : {"cpu", "reference"}) {
    std::int64_t k = 0, survived = 0;
    bool done = false;
    for (; !done; ++k) {
      const std::int64_t alive = n_alive;
      const ErrorCode code = code_of([&] {
        allocations_left = k;
        const auto backend = make_backend(name, {.threads = 3, .kv_pages = 4});
        backend->plan_memory(toy.plan, toy.weights);
        backend->prepare(toy.plan, toy.weights, {});
      });
      done = allocations_left >= 0;  // all of it took fewer than k
      allocations_left = -1;
      REQUIRE((code == ErrorCode::out_of_memory || code == ErrorCode::internal));  // internal: no error
      survived += code == ErrorCode::internal;
      REQUIRE(n_alive == alive);
    }
    CHECK(k > 5);
    // Only counting CPUs does without what it cannot get.
    CHECK(survived <= 1 + allocations_of_counting);
  }
}
