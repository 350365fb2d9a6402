// Heap memory, memcpy and the emulator's launches, each done at once or as late as may be.
// Linked into tests alone.
#include "kernels/cuda/emulated.hpp"

#include <cstring>
#include <deque>
#include <functional>
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
  std::shared_ptr<std::vector<Launch>> launches = std::make_shared<std::vector<Launch>>();
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
  explicit EmulatedRuntime(Emulated* emulated)
      : emulated_(emulated != nullptr ? *emulated : own_), left_(emulated_.budget) {}
  ~EmulatedRuntime() override {
    for (const auto& [bytes, size] : sizes_) ::operator delete(bytes, alignment);
  }

  std::string_view name() const noexcept override { return "cuda/emulated"; }
  bool has_warpgroups() const noexcept override { return emulated_.warpgroups != EmulatedWarpgroups::none; }
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
    ++emulated_.uploads;
    move(device, host, bytes);
  }
  void download(std::byte* host, const std::byte* device, std::uint64_t bytes) override {
    move(host, device, bytes);
  }
  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) override { move(to, from, bytes); }

  void synchronise() override { wait(mark()); }
  std::uint64_t mark() override {
    check_not_recording();
    asked_at_[marks_ % most_marks] = asked_;
    return marks_++;
  }
  void wait(std::uint64_t mark) override {
    check_not_recording();
    if (mark + most_marks < marks_) refuse("mark", std::to_string(mark), "the latest");
    const std::uint64_t asked = asked_at_[mark % most_marks];
    ++emulated_.waits;
    emulated_.ahead += last_replay_ > asked;
    while (asked_ - work_.size() < asked) do_next();
  }

  std::unique_ptr<Recording> record(const std::function<void()>& work) override {
    check_not_recording();
    auto recording = std::make_unique<EmulatedRecording>();
    struct While {
      EmulatedRecording*& recorded;
      ~While() { recorded = nullptr; }
    } const open{recorded_};
    recorded_ = recording.get();
    work();
    if (recording->launches->size() * launch_bytes > left_) throw Error::out_of_memory();
    ++emulated_.recordings;
    return recording;
  }
  void replay(const Recording& recording) override {
    check_not_recording();
    ++emulated_.replays;
    ask([this, launches = static_cast<const EmulatedRecording&>(recording).launches] {
      for (const Launch& launch : *launches) do_launch(launch);
    });
    last_replay_ = asked_;
  }

 protected:
  // So few that a block takes several pieces of what there is.
  std::uint32_t blocks_at_once(std::size_t, std::uint32_t) override { return 2; }
  void launch_kernel(std::size_t index, const Grid& grid, const void* kernel) override {
    const Entry& entry = entries().entry[index];
    if (grid.shared_bytes > entry.most_shared_bytes)
      refuse("shared memory", std::to_string(grid.shared_bytes), std::to_string(entry.most_shared_bytes));
    if (entry.needs_warpgroups && !has_warpgroups()) refuse("kernel", "warpgroups", "a device that has them");
    const auto* bytes = static_cast<const std::byte*>(kernel);
    Launch launch{index, grid, {bytes, bytes + entry.bytes}};
    if (recorded_ != nullptr) return recorded_->launches->push_back(std::move(launch));
    ask([this, launch = std::move(launch)] { do_launch(launch); });
  }

 private:
  // What a device refuses as well.
  void check_not_recording() const {
    if (recorded_ != nullptr) refuse("recording", "a call", "launches");
  }
  void move(std::byte* to, const std::byte* from, std::uint64_t bytes) {
    check_not_recording();
    if (bytes != 0) ask([=] { std::memcpy(to, from, bytes); });
  }

  void ask(std::function<void()> work) {
    work_.push_back(std::move(work));
    ++asked_;
    if (!emulated_.is_late) do_next();
  }
  void do_next() {
    const std::function<void()> work = std::move(work_.front());
    work_.pop_front();
    work();
  }
  void do_launch(const Launch& launch) {
    if (emulated_.launches_left == 0)
      throw Error({.code = ErrorCode::device_lost, .source = "cuda emulator"});
    --emulated_.launches_left;
    ++emulated_.launches;
    const Entry& entry = entries().entry[launch.index];
    emulator::round_products_otherwise(emulated_.warpgroups == EmulatedWarpgroups::differ);
    emulator::launch({launch.grid.x, launch.grid.y}, entry.threads, launch.grid.shared_bytes, entry.call,
                     launch.kernel.data());
  }

  Emulated own_, &emulated_;
  std::uint64_t left_;
  std::map<std::byte*, std::uint64_t> sizes_;
  EmulatedRecording* recorded_ = nullptr;
  std::deque<std::function<void()>> work_;  // asked for and not yet done
  std::uint64_t asked_ = 0, last_replay_ = 0, marks_ = 0;
  std::uint64_t asked_at_[most_marks] = {};
};

}  // namespace

std::unique_ptr<Runtime> make_emulated_runtime(Emulated* emulated) {
  return std::make_unique<EmulatedRuntime>(emulated);
}

}  // namespace nibble::inline v0::cuda
