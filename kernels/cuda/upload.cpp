// Packing the weights and bringing them to the device: tiles of rows, packed by a few threads into one buffer
// while the other is on its way. Last part of CudaBackend::prepare().
#include <algorithm>
#include <functional>
#include <thread>
#include <vector>

#include "kernels/cuda/backend.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cuda {

namespace {

// What is packed between two looks for a stop: some milliseconds' work. No less than a tile, however wide.
constexpr std::uint64_t chunk_bytes = 16 << 20;

class Uploader {
 public:
  Uploader(const Prepared& p, Runtime& runtime, std::uint32_t threads, const Watch& watch)
      : p_(p), runtime_(runtime), watch_(watch), threads_(threads) {
    if (threads_ == 0) threads_ = std::max(1u, std::thread::hardware_concurrency());
    std::uint64_t widest = 0;
    for (const WeightPlace& place : p_.layout.weights) {
      if (place.family != nullptr) widest = std::max(widest, tiles_together(place) * tile_bytes(place));
      if (place.floats) widest = std::max(widest, place.bytes);
      if (place.family != nullptr) total_ += file_bytes(place, place.rows);
    }
    for (const RopeTable& rope : p_.plan->ropes)
      widest = std::max<std::uint64_t>(widest, rope.inverse_frequency.size() * sizeof(float));
    for (const auto& order : p_.plan->orders)
      widest = std::max<std::uint64_t>(widest, order.size() * sizeof(std::uint32_t));
    for (RuntimeBytes& buffer : buffers_) buffer = RuntimeBytes(runtime, RuntimeBytes::Where::host, widest);
  }

  void run() {
    for (WeightId id = 0; id < p_.layout.weights.size(); ++id) {
      const WeightPlace& place = p_.layout.weights[id];
      const std::byte* file = (*p_.weights)[id].tensor.bytes.data();
      if (place.floats)
        send(place.offset, place.bytes,
             [&](std::byte* to) { place.format->decode(file, reinterpret_cast<float*>(to), place.cols); });
      if (place.family != nullptr) matrix(place, file);
    }
    for (std::size_t i = 0; i < p_.plan->ropes.size(); ++i)
      send(p_.layout.ropes[i], p_.plan->ropes[i].inverse_frequency);
    for (std::size_t i = 0; i < p_.plan->orders.size(); ++i) send(p_.layout.orders[i], p_.plan->orders[i]);
    runtime_.synchronise();
  }

 private:
  static std::uint64_t tile_bytes(const WeightPlace& place) {
    return place.family->tile_bytes(*place.format, place.cols);
  }
  static std::uint64_t n_tiles(const WeightPlace& place) {
    return (place.rows + place.family->row_tile - 1) / place.family->row_tile;
  }
  // Tiles that are packed between two looks for a stop.
  static std::uint64_t tiles_together(const WeightPlace& place) {
    return std::min(n_tiles(place), std::max<std::uint64_t>(1, chunk_bytes / tile_bytes(place)));
  }
  static std::uint64_t file_bytes(const WeightPlace& place, std::uint64_t rows) {
    return rows * row_bytes(*place.format, place.cols);
  }

  template <class T>
  void send(std::uint64_t offset, const std::vector<T>& values) {
    send(offset, values.size() * sizeof(T),
         [&](std::byte* to) { std::ranges::copy(values, reinterpret_cast<T*>(to)); });
  }

  // What fill(buffer) writes goes to the block of weights. Of the two buffers, the other may be on its way.
  template <class Fill>
  void send(std::uint64_t offset, std::uint64_t bytes, const Fill& fill) {
    throw_if_stopped(watch_.stop);
    std::byte* buffer = buffers_[turn_].data();
    fill(buffer);
    runtime_.synchronise();
    runtime_.upload(p_.weight_bytes.data() + offset, buffer, bytes);
    turn_ = 1 - turn_;
  }

  void matrix(const WeightPlace& place, const std::byte* file) {
    const std::uint64_t each = tile_bytes(place), row_tile = place.family->row_tile;
    const std::uint64_t tiles = n_tiles(place), together = tiles_together(place);
    for (std::uint64_t first = 0; first < tiles; first += together) {
      const std::uint64_t n = std::min(together, tiles - first);
      send(place.offset + first * each, n * each, [&](std::byte* to) { pack(place, file, first, n, to); });
      done_ +=
          file_bytes(place, std::min<std::uint64_t>(place.rows, (first + n) * row_tile) - first * row_tile);
      if (watch_.progress) watch_.progress(Stage::pack, done_, total_);
    }
  }

  void pack(const WeightPlace& place, const std::byte* file, std::uint64_t first, std::uint64_t n,
            std::byte* to) const {
    const std::uint64_t each = tile_bytes(place), row_tile = place.family->row_tile;
    const auto share = [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t tile = begin; tile < end; ++tile) {
        const std::uint64_t row = (first + tile) * row_tile;
        place.family->pack_tile(*place.format, file + file_bytes(place, row),
                                std::min<std::uint64_t>(row_tile, place.rows - row), place.cols,
                                to + tile * each);
      }
    };
    // A thread is worth its start from a megabyte on.
    const std::uint64_t most = std::clamp<std::uint64_t>(n * each >> 20, 1, threads_);
    const std::uint64_t part = (n + most - 1) / most;
    std::vector<std::jthread> others;
    for (std::uint64_t begin = part; begin < n; begin += part)
      others.emplace_back(share, begin, std::min(n, begin + part));
    share(0, std::min(n, part));
  }

  const Prepared& p_;
  Runtime& runtime_;
  const Watch& watch_;
  std::uint32_t threads_;
  RuntimeBytes buffers_[2];
  std::size_t turn_ = 0;
  std::uint64_t done_ = 0, total_ = 0;
};

}  // namespace

void upload_weights(const Prepared& prepared, Runtime& runtime, std::uint32_t threads, const Watch& watch) {
  Uploader(prepared, runtime, threads, watch).run();
}

}  // namespace nibble::inline v0::cuda
