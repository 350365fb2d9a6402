// Writing a batch's words, and finding out how new they are.
// First part of a pass.
#include "kernels/cuda/batch_words.hpp"

#include <algorithm>

namespace nibble::inline v0::cuda {

namespace {

std::size_t end_of_sequence(const Batch& batch, std::size_t token) {
  std::size_t end = token + 1;
  while (end < batch.tokens.size() && batch.sequence[end] == batch.sequence[token]) ++end;
  return end;
}

// The pages [first, last) of a sequence that its tokens at positions [begin, end] see.
struct SeenPages {
  SeenPages(const KvLayer& layer, std::uint32_t begin, std::uint32_t end)
      : first(first_visible(layer, begin) / kv_page_size), last(end / kv_page_size + 1) {}
  std::uint32_t first, last;
  friend bool operator==(const SeenPages&, const SeenPages&) = default;
};
SeenPages seen_pages(const KvLayer& layer, const Batch& batch, std::size_t begin, std::size_t end) {
  return {layer, batch.positions[begin], batch.positions[end - 1]};
}

// Puts words where others were.
class Writer {
 public:
  explicit Writer(const Prepared& p) : words_(reinterpret_cast<std::uint32_t*>(p.batch.data())) {}

  void put(std::uint64_t place, std::uint32_t word) {
    same_ = same_ && words_[place] == word;
    words_[place] = word;
  }
  template <class Range>
  void put_all(std::uint64_t place, const Range& range) {
    for (const auto word : range) put(place++, static_cast<std::uint32_t>(word));
  }
  bool same() const { return same_; }

 private:
  std::uint32_t* words_;
  bool same_ = true;
};

// How each row is drawn from; whether it was there already. A uniform's place is its position's in a page:
// with the next page come others.
bool write_draws(ForeseenDraws* to, const Batch& batch, const RankOptions& ranking) {
  static_assert(most_foreseen == kv_page_size);
  bool same = true;
  for (std::size_t i = 0; i < batch.outputs.size(); ++i) {
    const std::uint32_t first = batch.positions[batch.outputs[i]] % most_foreseen;
    const ForeseenDraws how = ranking.draws.empty() ? ForeseenDraws{} : ranking.draws[i];
    ForeseenDraws written = how;
    written.uniforms = to[i].uniforms;
    std::ranges::copy_n(how.uniforms.begin(), most_foreseen - first, written.uniforms.begin() + first);
    same = same && written == to[i];
    to[i] = written;
  }
  return same;
}

}  // namespace

std::size_t fitting_tokens(const Prepared& prepared, const BackendOptions& options, const Batch& batch) {
  std::uint64_t pages = 0;
  std::size_t n = 0;
  while (n < batch.tokens.size()) {
    const std::size_t end = end_of_sequence(batch, n);
    for (const KvLayer& layer : prepared.plan->kv) {
      const SeenPages seen = seen_pages(layer, batch, n, end);
      pages += seen.last - seen.first;
    }
    if (n != 0 && pages > options.kv_pages) break;
    n = end;
  }
  return n;
}

WrittenWords write_words(const Prepared& prepared, const BackendOptions& options, const Batch& batch,
                         const RankOptions& ranking) {
  const BatchPlaces& at = prepared.layout.in_batch;
  const std::vector<KvLayer>& layers = prepared.plan->kv;
  Writer writer(prepared);
  writer.put_all(at.tokens, batch.tokens);
  writer.put_all(at.positions, batch.positions.first(batch.tokens.size()));
  const bool same_tokens = writer.same();
  writer.put_all(at.outputs, batch.outputs);
  std::uint32_t next = 0, n_sequences = 0;
  for (std::size_t begin = 0, end; begin < batch.tokens.size(); begin = end, ++n_sequences) {
    end = end_of_sequence(batch, begin);
    for (std::size_t i = begin; i < end; ++i) writer.put(at.sequence + i, n_sequences);
    const KvSequence& kv = *batch.sequences[batch.sequence[begin]].kv;
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const SeenPages seen = seen_pages(layers[layer], batch, begin, end);
      writer.put(at.first + layer * options.max_tokens + n_sequences, next - seen.first);
      writer.put_all(at.table + next, std::span(kv.pages[layer]).subspan(seen.first, seen.last - seen.first));
      next += seen.last - seen.first;
    }
  }
  WrittenWords written{.n = at.table + next, .same_tokens = same_tokens, .same = writer.same()};
  if (ranking.ahead && ranking.n > 1) {
    auto* draws = reinterpret_cast<std::uint32_t*>(prepared.batch.data()) + at.draws;
    written.n_draws = batch.outputs.size() * sizeof(ForeseenDraws) / sizeof(std::uint32_t);
    if (!write_draws(reinterpret_cast<ForeseenDraws*>(draws), batch, ranking)) written.same = false;
  }
  return written;
}

bool can_go_on(const Prepared& prepared, const Batch& batch) {
  if (batch.outputs.size() != batch.tokens.size()) return false;
  for (std::size_t i = 0; i < batch.tokens.size(); ++i) {
    if (end_of_sequence(batch, i) != i + 1) return false;
    const std::uint32_t position = batch.positions[i];
    for (const KvLayer& layer : prepared.plan->kv)
      if (SeenPages(layer, position, position) != SeenPages(layer, position + 1, position + 1)) return false;
  }
  return true;
}

void go_on(const Prepared& prepared, std::uint32_t token, std::uint32_t next) {
  auto* words = reinterpret_cast<std::uint32_t*>(prepared.batch.data());
  const BatchPlaces& at = prepared.layout.in_batch;
  words[at.tokens + token] = next;
  ++words[at.positions + token];
}

}  // namespace nibble::inline v0::cuda
