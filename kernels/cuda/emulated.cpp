// Heap memory, memcpy and the emulator's launches; each call is done when it returns.
// Linked into tests alone.
#include "kernels/cuda/emulated.hpp"

#include <cstring>
#include <map>
#include <new>
#include <string>

#include "nibble/core/error.hpp"

namespace nibble::inline v0::cuda {

namespace {

constexpr std::align_val_t alignment{256};

struct Entry {
  void (*call)(const void* kernel);
  std::uint32_t threads;
};

template <class Kernel>
void call(const void* kernel) {
  (*static_cast<const Kernel*>(kernel))();
}

struct Entries {
  Entries() {
    Kernels::for_each([&, i = 0]<class Kernel>() mutable { entry[i++] = {call<Kernel>, Kernel::threads}; });
  }
  Entry entry[Kernels::size];
};

class EmulatedRuntime final : public Runtime {
 public:
  explicit EmulatedRuntime(std::uint64_t budget) : left_(budget) {}
  ~EmulatedRuntime() override {
    for (const auto& [bytes, size] : sizes_) ::operator delete(bytes, alignment);
  }

  std::string_view name() const noexcept override { return "cuda/emulated"; }

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
    if (bytes != 0) std::memcpy(device, host, bytes);
  }
  void download(std::byte* host, const std::byte* device, std::uint64_t bytes) override {
    if (bytes != 0) std::memcpy(host, device, bytes);
  }
  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) override {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void synchronise() override {}
  void throttle() override {}

 protected:
  void launch_kernel(std::size_t index, const Grid& grid, const void* kernel) override {
    if (grid.shared_bytes > most_shared_bytes) {
      throw Error({.code = ErrorCode::internal,
                   .source = "cuda emulator",
                   .field = "shared memory",
                   .found = std::to_string(grid.shared_bytes),
                   .allowed = std::to_string(most_shared_bytes)});
    }
    static const Entries entries;
    emulator::launch({grid.x, grid.y}, entries.entry[index].threads, grid.shared_bytes,
                     entries.entry[index].call, kernel);
  }

 private:
  std::uint64_t left_;
  std::map<std::byte*, std::uint64_t> sizes_;
};

}  // namespace

std::unique_ptr<Runtime> make_emulated_runtime(std::uint64_t budget) {
  return std::make_unique<EmulatedRuntime>(budget);
}

}  // namespace nibble::inline v0::cuda
