// What the emulator finds: kernels with a defect each. And memory: a backend takes what it said, to the byte.
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/emulated.hpp"
#include "support/catch.hpp"
#include "support/thrown.hpp"
#include "tests/kernels/op_cases.hpp"

using namespace nibble;
using namespace nibble::cuda;
using namespace nibble::test;

namespace {

template <class Kernel>
void launch(const Kernel& kernel, std::uint32_t threads, std::size_t shared_bytes = 0) {
  emulator::launch(
      {1, 1}, threads, shared_bytes, [](const void* k) { (*static_cast<const Kernel*>(k))(); }, &kernel);
}

}  // namespace

TEST_CASE("emulator: a barrier that only some threads reach, or lanes at different exchanges, is an error") {
  const auto waits_for_ever = [](const auto& kernel) {
    return thrown([&] { launch(kernel, 32); }).found() ==
           "threads that wait for each other in different places";
  };
  CHECK(waits_for_ever([] { device::thread() < 16 ? device::sync_block() : device::sync_warp(); }));
  CHECK(waits_for_ever(
      [] { device::thread() == 3 ? void(device::shuffle(1.0, 0)) : void(device::shuffle(1.0f, 0)); }));
  CHECK(waits_for_ever([] {
    if (device::thread() != 5) device::shuffle_xor(1, 1);
  }));
}

TEST_CASE("emulator: a misaligned load is an error") {
  alignas(16) std::byte bytes[32] = {};
  std::byte* odd = bytes + 4;
  CHECK(thrown([&] { launch([odd] { device::load_words4(odd); }, 32); }).found() == "a misaligned access");
}

TEST_CASE("emulator: shared memory begins as NaN, and copies arrive when they are waited for") {
  alignas(16) float from[4] = {1, 2, 3, 4};
  float seen[3] = {};
  float *at = from, *out = seen;
  launch(
      [at, out] {
        auto* memory = reinterpret_cast<float*>(device::shared());
        if (device::thread() == 0) {
          out[0] = memory[0];
          device::copy_async16(memory, at);
          device::end_copy_group();
          out[1] = memory[0];
          device::wait_copies<0>();
          out[2] = memory[3];
        }
        device::sync_block();
      },
      32, 16);
  CHECK((std::isnan(seen[0]) && std::isnan(seen[1]) && seen[2] == 4.0f));
}

TEST_CASE("cuda: a backend takes what its plan says, to the byte, and reports what is too much") {
  const Case c = attend_case(3, KvType::F16, 40);
  const auto planned =
      CudaBackend(make_emulated_runtime(), c.options).plan_memory(c.toy.plan, c.toy.weights).total();
  Emulated enough{.budget = planned}, too_little{.budget = planned - 1};
  CudaBackend(make_emulated_runtime(&enough), c.options).prepare(c.toy.plan, c.toy.weights, {});
  CudaBackend beyond(make_emulated_runtime(&too_little), c.options);
  CHECK(thrown([&] { beyond.prepare(c.toy.plan, c.toy.weights, {}); }).code() == ErrorCode::out_of_memory);
}
