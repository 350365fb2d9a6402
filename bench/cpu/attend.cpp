// Attention of every tier on one thread: a group of four query heads of 64 over the keys and values of one of
// eight heads, by depth. These come from memory each time, as they do in a model of many heads and layers.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "bench/probe/loops.hpp"
#include "bench/rates.hpp"
#include "kernels/cpu/dispatch.hpp"
#include "nibble/core/aligned_bytes.hpp"

namespace bench {

namespace {

namespace cpu = nibble::cpu;

constexpr std::size_t depths[] = {512, 4096, 16384};
constexpr nibble::KvType kv_types[] = {nibble::KvType::F16, nibble::KvType::Q8_0};
constexpr std::size_t kv_heads = 8, group = 4, head_dim = 64, prefill_tokens = 64;
constexpr int any_byte = 0x28;  // a small number, or its scale and code, in every type

struct Shape {
  nibble::KvType type;
  std::size_t depth, n_tokens;
};

// Pages of many sequences, more than caches have; each time another head of one of them.
class Pages {
 public:
  explicit Pages(const Shape& shape)
      : page_bytes(nibble::kv_page_bytes(std::array{nibble::KvLayer{kv_heads, head_dim, 0}}, shape.type)),
        n_pages((shape.depth + shape.n_tokens) / nibble::kv_page_size + 1),
        n_sequences_(beyond_caches / (n_pages * page_bytes) + 1),
        memory_(n_sequences_ * n_pages * page_bytes),
        ids_(n_sequences_ * n_pages) {
    std::memset(memory_.data(), any_byte, n_sequences_ * n_pages * page_bytes);
    std::iota(ids_.begin(), ids_.end(), nibble::PageId{0});
  }

  const std::byte* data() const { return memory_.data(); }
  void next() { ++turn_; }
  const nibble::PageId* ids() const { return ids_.data() + turn_ / kv_heads % n_sequences_ * n_pages; }
  std::size_t head_bytes() const { return page_bytes / (2 * kv_heads); }
  std::size_t keys() const { return turn_ % kv_heads * head_bytes(); }

  const std::size_t page_bytes, n_pages;

 private:
  std::size_t n_sequences_, turn_ = 0;
  probe::Memory memory_;
  std::vector<nibble::PageId> ids_;
};

struct Buffers {
  std::vector<float> q, max, sum;
  nibble::AlignedBytes out, scratch;
};

void run(const cpu::AttendKernel& kernel, const Shape& shape, Pages& pages, Buffers& buffers) {
  pages.next();
  const std::size_t tile = std::max<std::size_t>(1, kernel.max_queries / group);
  for (std::size_t t = 0; t < shape.n_tokens; t += tile) {
    const std::size_t n = std::min(tile, shape.n_tokens - t), end = shape.depth + t + n;
    for (std::size_t begin = 0; begin < end; begin += cpu::attend_span) {
      kernel.run({.kv_type = shape.type,
                  .n_tokens = n,
                  .group = group,
                  .head_dim = head_dim,
                  .q = buffers.q.data(),
                  .q_stride = group * head_dim,
                  .out = reinterpret_cast<float*>(buffers.out.data()),
                  .max = buffers.max.data(),
                  .sum = buffers.sum.data(),
                  .pool = pages.data(),
                  .page_bytes = pages.page_bytes,
                  .pages = pages.ids(),
                  .keys = pages.keys(),
                  .values = pages.keys() + kv_heads * pages.head_bytes(),
                  .begin = begin,
                  .end = std::min(end, begin + cpu::attend_span),
                  .position = shape.depth + t,
                  .window = 0,
                  .scale = 0.125f,
                  .softcap = 0,
                  .scratch = buffers.scratch.data()});
    }
  }
}

void add(const cpu::Tier& tier, const Shape& shape) {
  const std::string name = "attend/" + describe(tier) + '/' + std::string(nibble::to_string(shape.type)) +
                           (shape.n_tokens == 1 ? "/decode/" : "/prefill/") + std::to_string(shape.depth);
  benchmark::RegisterBenchmark(name.c_str(), [&tier, shape](benchmark::State& state) {
    const cpu::AttendKernel& kernel = *tier.table->attend;
    Pages pages(shape);
    const std::size_t queries = std::max(kernel.max_queries, group);
    Buffers buffers{.q = std::vector<float>(queries * head_dim, 0.5f),
                    .max = std::vector<float>(queries),
                    .sum = std::vector<float>(queries),
                    .out = nibble::AlignedBytes(queries * head_dim * sizeof(float)),
                    .scratch = nibble::AlignedBytes(kernel.scratch_bytes(queries, head_dim))};
    for (auto _ : state) run(kernel, shape, pages, buffers);
    const auto tokens = static_cast<double>(shape.n_tokens);
    const double seen = tokens * (static_cast<double>(shape.depth) + (tokens + 1) / 2);
    const double end = static_cast<double>(shape.depth) + tokens;
    report(state, end * static_cast<double>(2 * pages.head_bytes()) / nibble::kv_page_size,
           2 * seen * group * head_dim, peak_gmacs(tier, probe::Arithmetic::bf16));
  });
}

void add_all() {
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier) || tier.table->attend == nullptr) continue;
    for (const nibble::KvType type : kv_types) {
      for (const std::size_t n_tokens : {std::size_t{1}, prefill_tokens}) {
        for (const std::size_t depth : depths) add(tier, {type, depth, n_tokens});
      }
    }
  }
}

[[maybe_unused]] const bool added = (add_all(), true);

}  // namespace

}  // namespace bench
