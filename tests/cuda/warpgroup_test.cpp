// What compute capability 9.0 adds, on the emulator: the check that lets a backend use it, and what becomes
// of kernels that get it wrong.
#include "kernels/cuda/warpgroup_check.hpp"

#include <cmath>

#include "kernels/cuda/emulated.hpp"
#include "kernels/cuda/fragments_family.hpp"
#include "support/catch.hpp"
#include "support/thrown.hpp"

using namespace nibble;
using namespace nibble::cuda;
using namespace nibble::test;

namespace {

constexpr std::size_t shared_bytes = 4096;

template <class Kernel>
void launch(const Kernel& kernel, std::uint32_t threads = device::warpgroup_size) {
  emulator::launch(
      {1, 1}, threads, shared_bytes, [](const void* k) { (*static_cast<const Kernel*>(k))(); }, &kernel);
}

std::string defect(const auto& kernel, std::uint32_t threads = device::warpgroup_size) {
  return std::string(thrown([&] { launch(kernel, threads); }).found());
}

device::Barrier* barrier(std::uint32_t n) {
  return reinterpret_cast<device::Barrier*>(device::shared() + shared_bytes) - 1 - n;
}
using Operand = device::SharedOperand<128, 256>;  // (64, 16) halves in 2048 bytes
constexpr float halves_of_one = 16;               // what their product by ones is

// Sixteen columns of ones in each operand.
void fill_ones() {
  for (std::uint32_t i = device::thread(); i < 1024; i += device::warpgroup_size)
    reinterpret_cast<std::uint16_t*>(device::shared())[i] = device::float_to_half(1);
  device::sync_block();
}
constexpr std::uint32_t ones[1][4] = {{0x3c003c00, 0x3c003c00, 0x3c003c00, 0x3c003c00}};

}  // namespace

TEST_CASE("warpgroups are used where they give the bits of mma.sync, and only there") {
  using enum EmulatedWarpgroups;
  for (const EmulatedWarpgroups kind : {none, agree, differ}) {
    Emulated emulated{.warpgroups = kind};
    const auto runtime = make_emulated_runtime(&emulated);
    CHECK(warpgroups_agree(*runtime) == (kind == agree));
    runtime->use_warpgroups(kind == agree);
    const auto shape = [&](std::uint32_t n_rows, std::uint32_t n_used) {
      return best_shape(*runtime, {.matrix = {.format = nullptr, .rows = 4096, .cols = 64, .bytes = nullptr},
                                   .n_rows = n_rows,
                                   .n_used = n_used,
                                   .n_experts = 2});
    };
    CHECK(shape(2048, 0) == (kind == agree ? BlockShape::by_warpgroups : BlockShape::many_inputs));
    CHECK(shape(2048, 1) == BlockShape::many_inputs);
    CHECK(shape(runtime->enough_for_warpgroups() - 1, 0) != BlockShape::by_warpgroups);
  }
}

TEST_CASE("emulator: bulk copies and products are not there before they are waited for") {
  alignas(16) float from[32];
  for (float& x : from) x = 2;
  float seen[4] = {};
  float *in = from, *out = seen;
  launch([=] {
    if (device::thread() == 0) {
      device::begin_barrier(barrier(0), 1);
      device::fence_async();
    }
    fill_ones();
    float product[device::product_floats] = {};
    device::begin_product<0>(product, ones, Operand::at(0));
    const float early = product[5];
    device::wait_product<0>(product);
    if (device::thread() != 77) return;
    out[0] = early, out[1] = product[5];
    auto* copied = reinterpret_cast<float*>(device::shared() + 2048);
    copied[31] = 1;
    device::arrive_and_expect(barrier(0), sizeof from);
    device::copy_bulk(copied, in, sizeof from, barrier(0));
    out[2] = copied[31];
    device::wait(barrier(0), 0);
    out[3] = copied[31];
  });
  CHECK((std::isnan(seen[0]) && seen[1] == halves_of_one && std::isnan(seen[2]) && seen[3] == 2));
}

TEST_CASE("emulator: what a product reads must stay until it is done") {
  float seen = 0;
  float* out = &seen;
  launch([=] {
    fill_ones();
    float product[device::product_floats] = {};
    device::begin_product<0>(product, ones, Operand::at(0));
    if (device::thread() == 0) reinterpret_cast<std::uint16_t*>(device::shared())[0] = 0;
    device::wait_product<0>(product);
    if (device::thread() == 0) *out = product[0];
  });
  CHECK(seen == halves_of_one - 1);
}

TEST_CASE("emulator: barriers have phases, and a wait for one that never ends is an error") {
  CHECK_NOTHROW(launch([] {
    if (device::thread() == 0) device::begin_barrier(barrier(0), 2);
    device::sync_block();
    device::wait(barrier(0), 1);
    device::sync_block();
    for (std::uint32_t turn = 0; turn < 3; ++turn) {
      if (device::thread() % 64 == 0) device::arrive(barrier(0));
      device::wait(barrier(0), turn % 2);
      device::sync_block();
    }
  }));
  const auto waits = [](std::uint32_t arrivals, std::uint32_t bytes) {
    return defect([=] {
      if (device::thread() == 0) {
        device::begin_barrier(barrier(0), arrivals);
        device::arrive_and_expect(barrier(0), bytes);
      }
      device::sync_block();
      device::wait(barrier(0), 0);
    });
  };
  CHECK(waits(2, 0) == "threads that wait for each other in different places");
  CHECK(waits(1, 16) == "threads that wait for each other in different places");
  CHECK(defect([] { device::arrive(barrier(0)); }) == "a barrier that was not begun");
}

TEST_CASE("emulator: bulk copies and products that a device would refuse are errors") {
  alignas(16) std::byte from[64] = {};
  const std::byte* in = from;
  const auto copies = [&](std::uint32_t at, std::uint32_t skip, std::uint32_t bytes) {
    return defect([=] {
      if (device::thread() == 0) device::copy_bulk(device::shared() + at, in + skip, bytes, barrier(0));
    });
  };
  CHECK(copies(8, 0, 16) == "a misaligned access");
  CHECK(copies(0, 4, 16) == "a misaligned access");
  CHECK(copies(0, 0, 8) == "a bulk copy of a length that is not a multiple of 16");
  CHECK(copies(shared_bytes - 16, 0, 32) == "a bulk copy to what is not there");
  const auto multiplies = [](Operand operand, std::uint32_t threads) {
    return defect(
        [=] {
          float product[device::product_floats] = {};
          if (device::thread() >= threads) return;
          device::begin_product<0>(product, ones, operand);
          device::wait_product<0>(product);
        },
        device::warpgroup_size);
  };
  CHECK(multiplies(Operand::at(shared_bytes - 1024), 128) == "a product of what is not there");
  CHECK(multiplies({Operand::at(0).descriptor | 1ull << 62}, 128) == "a descriptor of another kind");
  CHECK(multiplies(Operand::at(0), 96) == "threads that wait for each other in different places");
  CHECK(defect([] {
          float a[device::product_floats] = {}, b[device::product_floats] = {};
          device::begin_product<0>(a, ones, Operand::at(0));
          device::wait_product<0>(b);
        }) == "a wait for another product");
}
