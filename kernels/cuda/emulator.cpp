// Fibers, barriers and exchanges of the emulated block.
// What it stands for, and what it does not prove, is in the header.
#undef _FORTIFY_SOURCE  // it takes a jump to another stack for a mistake
#include "kernels/cuda/emulator.hpp"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <vector>

#include "nibble/core/error.hpp"

namespace nibble::inline v0::cuda::emulator {

namespace {

constexpr std::uint32_t warp = 32;
constexpr std::size_t stack_bytes = 256 << 10, slot_bytes = 48;
constexpr std::align_val_t shared_alignment{128};

enum class State : std::uint8_t { ready, at_block_barrier, at_warp_barrier, at_exchange, waiting, done };

struct Copy {
  void* to;
  std::byte bytes[16];
};

// Where a stack was left, and is to be entered again. The address sanitizer would clear what it knows of a
// stack at every jump that it sees.
#ifdef __SANITIZE_ADDRESS__
struct Place {
  void* words[5];
};
#define NIBBLE_SET(place) __builtin_setjmp((place).words)
#define NIBBLE_JUMP(place) __builtin_longjmp((place).words, 1)
#else
struct Place {
  jmp_buf words;
};
#define NIBBLE_SET(place) _setjmp((place).words)
#define NIBBLE_JUMP(place) _longjmp((place).words, 1)
#endif

struct Fiber {
  Place place;
  std::unique_ptr<std::byte[]> stack{new std::byte[stack_bytes]};
  State state = State::done;
  std::uint32_t exchanges = 0;
  std::size_t exchanged_bytes = 0;
  std::uint32_t exchange_threads = warp;
  bool (*over)(void* what) = nullptr;  // while it is waiting
  void* what = nullptr;
  std::vector<std::vector<Copy>> copies;  // groups not waited for, the open one last
};

struct FreeShared {
  void operator()(std::byte* bytes) const noexcept { ::operator delete(bytes, shared_alignment); }
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<std::byte> slots;  // (two by turns, threads, slot_bytes)
  std::unique_ptr<std::byte, FreeShared> shared;
  std::size_t shared_bytes = 0;
  Place scheduler;
  std::uint32_t threads = 0, current = 0;
  std::uint32_t x = 0, y = 0, blocks_x = 0;
  void (*call)(const void*) = nullptr;
  const void* kernel = nullptr;
  const char* defect = nullptr;
  std::uint64_t number = 0;
};

Block& block() {
  static thread_local Block block;
  return block;
}
Fiber& fiber() { return block().fibers[block().current]; }

// Once a fiber runs, jumps lead in and out of it: swapcontext makes a system call each time.
[[noreturn, gnu::noinline, gnu::no_sanitize("address")]] void enter(Place& place) { NIBBLE_JUMP(place); }
[[gnu::noinline, gnu::no_sanitize("address")]] void leave_for(Place& other, Place& here) {
  if (NIBBLE_SET(here) == 0) enter(other);
}
[[gnu::noinline, gnu::no_sanitize("address")]] void leave_for(const ucontext_t& other, Place& here) {
  if (NIBBLE_SET(here) == 0) setcontext(&other);
}

void wait(State state) {
  fiber().state = state;
  leave_for(block().scheduler, fiber().place);
}

void resume(std::uint32_t thread) {
  block().current = thread;
  leave_for(fiber().place, block().scheduler);
}

void run_thread() {
  for (;;) {
    wait(State::done);
    block().call(block().kernel);
  }
}

// Runs the last fiber up to where it waits for its first kernel.
void start() {
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = block().fibers.back().stack.get();
  context.uc_stack.ss_size = stack_bytes;
  context.uc_link = nullptr;
  makecontext(&context, run_thread, 0);
  block().current = static_cast<std::uint32_t>(block().fibers.size() - 1);
  leave_for(context, block().scheduler);
}

// Releases threads [first, first + n) that wait for each other, once all of them do; false where some cannot.
bool release(std::uint32_t first, std::uint32_t n, State state) {
  const auto begin = block().fibers.begin() + first, end = begin + n;
  if (!std::all_of(begin, end, [&](const Fiber& f) {
        return f.state == state && f.exchanged_bytes == begin->exchanged_bytes &&
               f.exchange_threads == begin->exchange_threads;
      })) {
    return false;
  }
  std::for_each(begin, end, [](Fiber& f) { f.state = State::ready; });
  return true;
}

// The exchanges that begin with the warp of thread `first`.
bool release_exchange(std::uint32_t first) {
  const std::uint32_t n = block().fibers[first].exchange_threads;
  return first % n == 0 && first + n <= block().threads && release(first, n, State::at_exchange);
}

bool release_waiting(Block& b) {
  bool any = false;
  for (std::uint32_t t = 0; t < b.threads; ++t) {
    Fiber& f = b.fibers[t];
    if (f.state == State::waiting && f.over(f.what)) f.state = State::ready, any = true;
  }
  return any;
}

bool release_block(Block& b) {
  bool any = false;
  for (std::uint32_t t = 0; t < b.threads; ++t) {
    if (b.fibers[t].state != State::at_block_barrier && b.fibers[t].state != State::done) return false;
    any = any || b.fibers[t].state == State::at_block_barrier;
  }
  for (std::uint32_t t = 0; t < b.threads; ++t)
    if (b.fibers[t].state == State::at_block_barrier) b.fibers[t].state = State::ready;
  return any;
}

void run_block(Block& b, const std::vector<std::uint32_t>& order) {
  const std::uint32_t nan = 0x7fa00000u;
  ++b.number;
  for (std::size_t i = 0; i + 4 <= b.shared_bytes; i += 4) std::memcpy(b.shared.get() + i, &nan, 4);
  for (std::uint32_t t = 0; t < b.threads; ++t) {
    b.fibers[t].state = State::ready;
    b.fibers[t].exchanges = 0;
    b.fibers[t].copies.assign(1, {});
  }
  for (bool moved = true; moved;) {
    moved = false;
    for (const std::uint32_t t : order) {
      if (b.fibers[t].state != State::ready) continue;
      resume(t);
      if (b.defect != nullptr) return;
      moved = true;
    }
    for (std::uint32_t w = 0; w < b.threads; w += warp)
      moved |= release_exchange(w) || release(w, warp, State::at_warp_barrier);
    moved |= release_block(b);
    if (!moved) moved = release_waiting(b);
  }
  if (std::any_of(b.fibers.begin(), b.fibers.begin() + b.threads,
                  [](const Fiber& f) { return f.state != State::done; })) {
    b.defect = "threads that wait for each other in different places";
  }
}

}  // namespace

std::uint32_t thread() { return block().current; }
std::uint32_t block_x() { return block().x; }
std::uint32_t block_y() { return block().y; }
std::uint32_t blocks_x() { return block().blocks_x; }

std::byte* shared() { return block().shared.get(); }

void sync_block() { wait(State::at_block_barrier); }
void sync_warp() { wait(State::at_warp_barrier); }

std::size_t shared_bytes() { return block().shared_bytes; }
std::uint64_t block_number() { return block().number; }

// Leaves this thread for good; the launch ends with what is said.
void fail(const char* defect) {
  block().defect = defect;
  for (;;) wait(State::done);
}

void wait_until(bool (*over)(void*), void* what) {
  fiber().over = over;
  fiber().what = what;
  wait(State::waiting);
}

const void* exchange_bytes(const void* mine, std::size_t bytes, std::uint32_t threads) {
  Block& b = block();
  const std::uint32_t t = b.current, first = t / warp * warp;
  const std::size_t turn = b.fibers[t].exchanges++ % 2;
  std::byte* slots = b.slots.data() + (turn * b.threads + first) * slot_bytes;
  std::memcpy(slots + (t - first) * bytes, mine, bytes);
  b.fibers[t].exchanged_bytes = bytes;
  b.fibers[t].exchange_threads = threads;
  wait(State::at_exchange);
  return slots;
}

void copy_async(void* to, const void* from) {
  Copy copy{to, {}};
  std::memcpy(copy.bytes, from, sizeof copy.bytes);
  fiber().copies.back().push_back(copy);
}

void end_copy_group() { fiber().copies.emplace_back(); }

void wait_copies(int left) {
  auto& groups = fiber().copies;
  while (groups.size() > static_cast<std::size_t>(left) + 1) {
    for (const Copy& copy : groups.front()) std::memcpy(copy.to, copy.bytes, sizeof copy.bytes);
    groups.erase(groups.begin());
  }
}

const void* aligned(const void* p, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0) fail("a misaligned access");
  return p;
}

std::uint16_t round_to_half(double x) {
  // To odd at 24 bits first, so that rounding once more does not move what lies halfway.
  const float near = static_cast<float>(x);
  std::uint32_t bits = std::bit_cast<std::uint32_t>(near);
  if (static_cast<double>(near) != x && (bits & 1) == 0)
    bits += (std::fabs(static_cast<double>(near)) < std::fabs(x)) ? 1u : ~0u;
  return f32_to_f16(std::bit_cast<float>(bits));
}

void launch(Blocks blocks, std::uint32_t threads, std::size_t shared_bytes, void (*call)(const void*),
            const void* kernel) {
  Block& b = block();
  while (b.fibers.size() < threads) {
    b.fibers.emplace_back();
    start();
  }
  b.threads = threads;
  b.slots.resize(2 * threads * slot_bytes);
  // Of exactly this size, so that a sanitizer sees what goes beyond.
  b.shared.reset(static_cast<std::byte*>(::operator new(shared_bytes, shared_alignment)));
  b.shared_bytes = shared_bytes;
  b.blocks_x = blocks.x;
  b.call = call;
  b.kernel = kernel;
  b.defect = nullptr;
  std::mt19937 random(blocks.x * 31 + blocks.y * 17 + threads);
  std::vector<std::uint32_t> order(threads), places(std::size_t{blocks.x} * blocks.y);
  std::iota(order.begin(), order.end(), 0);
  std::iota(places.begin(), places.end(), 0);
  std::shuffle(places.begin(), places.end(), random);
  for (const std::uint32_t place : places) {
    b.x = place % blocks.x;
    b.y = place / blocks.x;
    std::shuffle(order.begin(), order.end(), random);
    run_block(b, order);
    if (b.defect != nullptr) {
      b.fibers.clear();  // some are amid the kernel
      throw Error({.code = ErrorCode::internal, .source = "cuda emulator", .found = b.defect});
    }
  }
}

}  // namespace nibble::inline v0::cuda::emulator
