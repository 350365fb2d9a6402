// Heap memory, memcpy and the emulator's launches; each call is done when it returns.
// Linked into tests alone.
#include "kernels/cuda/emulated.hpp"

#include <cstring>
#include <map>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

#include "nibble/core/error.hpp"

namespace nibble::inline v0::cuda {

namespace {

constexpr std::align_val_t alignment{256};
constexpr std::uint64_t launch_bytes = 1024;  // that must be left for each launch of a recording

struct Entry {
  void (*call)(const void* kernel);
  std::uint32_t threads, most_shared_bytes;
  std::size_t bytes;
  bool needs_warpgroups;
};

template <class Kernel>
void call(const void* kernel) {
  static_assert(std::is_trivially_copyable_v<Kernel>);
  (*static_cast<const Kernel*>(kernel))();
}

struct Entries {
  Entries() {
    Kernels::for_each([&, i = 0]<class Kernel>() mutable {
      entry[i++] = {call<Kernel>, Kernel::threads, most_shared_bytes_of<Kernel>(), sizeof(Kernel),
                    needs_warpgroups<Kernel>()};
    });
  }
  Entry entry[Kernels::size];
};

const Entries& entries() {
  static const Entries table;
  return table;
}

struct Launch {
  std::size_t index;
  Grid grid;
  std::vector<std::byte> kernel;  // a copy: what is in it stays, what it points to may change
};

struct EmulatedRecording final : Recording {
  std::vector<Launch> launches;
};

[[noreturn]] void refuse(const char* field, std::string found, std::string allowed) {
  throw Error({.code = ErrorCode::internal,
               .source = "cuda emulator",
               .field = field,
               .found = std::move(found),
               .allowed = std::move(allowed)});
}

class EmulatedRuntime final : public Runtime {
 public:
  EmulatedRuntime(std::uint64_t budget, EmulatedCounts* counts, EmulatedWarpgroups warpgroups)
      : left_(budget), counts_(counts != nullptr ? *counts : own_counts_), warpgroups_(warpgroups) {}
  ~EmulatedRuntime() override {
    for (const auto& [bytes, size] : sizes_) ::operator delete(bytes, alignment);
  }

  std::string_view name() const noexcept override { return "cuda/emulated"; }
  bool has_warpgroups() const noexcept override { return warpgroups_ != EmulatedWarpgroups::none; }
  // So few that small models reach them.
  std::uint32_t enough_for_warpgroups() const noexcept override { return 12; }

  std::byte* allocate(std::uint64_t bytes) override {
    if (bytes == 0) return nullptr;
    if (bytes > left_) throw Error::out_of_memory();
    auto* block = static_cast<std::byte*>(::operator new(bytes, alignment));
    std::memset(block, 0xff, bytes);
    sizes_[block] = bytes;
    left_ -= bytes;
    return block;
  }
  void free(std::byte* device) noexcept override {
    const auto found = sizes_.find(device);
    if (found == sizes_.end()) return;
    left_ += found->second;
    sizes_.erase(found);
    ::operator delete(device, alignment);
  }
  std::byte* allocate_host(std::uint64_t bytes) override { return new std::byte[bytes]; }
  void free_host(std::byte* host) noexcept override { delete[] host; }

  void upload(std::byte* device, const std::byte* host, std::uint64_t bytes) override {
    move(device, host, bytes);
  }
  void download(std::byte* host, const std::byte* device, std::uint64_t bytes) override {
    move(host, device, bytes);
  }
  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) override { move(to, from, bytes); }
  void synchronise() override { check_not_recording(); }
  void throttle() override { check_not_recording(); }

  std::unique_ptr<Recording> record(const std::function<void()>& work) override {
    check_not_recording();
    auto recording = std::make_unique<EmulatedRecording>();
    struct While {
      EmulatedRecording*& recorded;
      ~While() { recorded = nullptr; }
    } const open{recorded_};
    recorded_ = recording.get();
    work();
    if (recording->launches.size() * launch_bytes > left_) throw Error::out_of_memory();
    ++counts_.recordings;
    return recording;
  }
  void replay(const Recording& recording) override {
    check_not_recording();
    ++counts_.replays;
    for (const Launch& launch : static_cast<const EmulatedRecording&>(recording).launches)
      launch_kernel(launch.index, launch.grid, launch.kernel.data());
  }

 protected:
  // So few that a block takes several pieces of what there is.
  std::uint32_t blocks_at_once(std::size_t, std::uint32_t) override { return 2; }
  void launch_kernel(std::size_t index, const Grid& grid, const void* kernel) override {
    const Entry& entry = entries().entry[index];
    if (grid.shared_bytes > entry.most_shared_bytes)
      refuse("shared memory", std::to_string(grid.shared_bytes), std::to_string(entry.most_shared_bytes));
    if (entry.needs_warpgroups && !has_warpgroups()) refuse("kernel", "warpgroups", "a device that has them");
    if (recorded_ != nullptr) {
      const auto* bytes = static_cast<const std::byte*>(kernel);
      recorded_->launches.push_back({index, grid, {bytes, bytes + entry.bytes}});
      return;
    }
    ++counts_.launches;
    emulator::round_products_otherwise(warpgroups_ == EmulatedWarpgroups::differ);
    emulator::launch({grid.x, grid.y}, entry.threads, grid.shared_bytes, entry.call, kernel);
  }

 private:
  // What a device refuses as well.
  void check_not_recording() const {
    if (recorded_ != nullptr) refuse("recording", "a call", "launches");
  }
  void move(std::byte* to, const std::byte* from, std::uint64_t bytes) const {
    check_not_recording();
    if (bytes != 0) std::memcpy(to, from, bytes);
  }

  std::uint64_t left_;
  std::map<std::byte*, std::uint64_t> sizes_;
  EmulatedRecording* recorded_ = nullptr;
  EmulatedCounts own_counts_, &counts_;
  EmulatedWarpgroups warpgroups_;
};

}  // namespace

std::unique_ptr<Runtime> make_emulated_runtime(std::uint64_t budget, EmulatedCounts* counts,
                                               EmulatedWarpgroups warpgroups) {
  return std::make_unique<EmulatedRuntime>(budget, counts, warpgroups);
}

}  // namespace nibble::inline v0::cuda
