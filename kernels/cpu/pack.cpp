// Packing the weights: rows of many tensors shared out to all threads, the file's pages given back as it
// goes. Last part of CpuBackend::prepare().
#include <algorithm>
#include <functional>
#include <vector>

#include "kernels/cpu/backend.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu {

namespace {

// What one thread packs before it looks for a stop: about a millisecond's work.
constexpr std::uint64_t part_bytes = 2 << 20;
// Packed between two waits for all threads, in parts for each and at most; so much of the file is in memory
// beside its packed form.
constexpr std::uint64_t round_parts = 2, most_round_bytes = 32 << 20;
constexpr std::uint64_t page_bytes = 4 << 10;

// Some rows of one matrix.
struct Part {
  WeightId id;
  std::uint64_t begin, end;  // rows
};

std::vector<Part> make_parts(const Layout& layout) {
  std::vector<Part> parts;
  for (WeightId id = 0; id < layout.weights.size(); ++id) {
    const WeightPlace& place = layout.weights[id];
    if (place.keep != Keep::packed) continue;
    const std::uint64_t tile = place.kernel->row_tile;
    const std::uint64_t rows =
        std::max<std::uint64_t>(1, part_bytes / (tile * row_bytes(*place.format, place.cols))) * tile;
    for (std::uint64_t begin = 0; begin < place.rows; begin += rows) {
      parts.push_back({id, begin, std::min(place.rows, begin + rows)});
    }
  }
  return parts;
}

std::uint64_t file_bytes(const Prepared& p, const Part& part) {
  const WeightPlace& place = p.layout.weights[part.id];
  return (part.end - part.begin) * row_bytes(*place.format, place.cols);
}

void pack(const Prepared& p, const Part& part) {
  const WeightPlace& place = p.layout.weights[part.id];
  Matrix matrix = p.matrix(part.id);
  matrix.bytes = (*p.weights)[part.id].tensor.bytes.data();
  place.kernel->pack({.matrix = matrix,
                      .row_begin = part.begin,
                      .row_end = part.end,
                      .packed = p.weight_bytes.data() + place.offset});
}

// With a page in front, if there is one: its other bytes are of the part before.
void release(const Prepared& p, const Part& part) {
  const std::span<const std::byte> tensor = (*p.weights)[part.id].tensor.bytes;
  const WeightPlace& place = p.layout.weights[part.id];
  const std::uint64_t begin = part.begin * row_bytes(*place.format, place.cols),
                      before = std::min(begin, page_bytes);
  const auto range = tensor.subspan(begin - before, before + file_bytes(p, part));
  for (const auto& file : p.weights->files()) {
    const auto bytes = file->bytes();
    if (std::less_equal<>()(bytes.data(), range.data()) &&
        std::less<>()(range.data(), bytes.data() + bytes.size())) {
      file->release(range);
    }
  }
}

}  // namespace

void CpuBackend::pack(const Prepared& p, const Watch& watch) {
  for (WeightId id = 0; id < p.layout.weights.size(); ++id) {
    const WeightPlace& place = p.layout.weights[id];
    if (place.keep != Keep::floats) continue;
    float* out = reinterpret_cast<float*>(p.weight_bytes.data() + place.offset);
    place.format->decode((*p.weights)[id].tensor.bytes.data(), out, place.cols);
  }
  const std::vector<Part> parts = make_parts(p.layout);
  const std::uint64_t round_bytes = std::min(pool_.size() * round_parts * part_bytes, most_round_bytes);
  std::uint64_t done = 0, total = 0;
  for (const Part& part : parts) total += file_bytes(p, part);
  for (std::size_t first = 0, last = 0; first < parts.size(); first = last) {
    const std::uint64_t begin = done;
    while (last < parts.size() && done - begin < round_bytes) done += file_bytes(p, parts[last++]);
    // Threads keep a share of the round apart: two that fill one huge page would both take and clear it.
    const std::size_t n = last - first, n_shares = pool_.size(), share = (n + n_shares - 1) / n_shares;
    const auto for_each_part = [&](auto&& work) {
      pool_.for_each(share * n_shares, watch.stop, [&](std::size_t i, std::uint32_t) {
        const std::size_t part = i % n_shares * share + i / n_shares;
        if (part < n) work(p, parts[first + part]);
      });
      throw_if_stopped(watch.stop);
    };
    for_each_part(cpu::pack);
    for_each_part(release);
    if (watch.progress) watch.progress(Stage::pack, done, total);
  }
}

}  // namespace nibble::inline v0::cpu
