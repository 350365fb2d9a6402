// Drawing on the device by itself: Sampler's token, in every case; the host's draws would hide a wrong one.
#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <vector>

#include "kernels/cuda/draw_ranked.hpp"
#include "nibble/sample/sampler.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace nibble::cuda;

namespace {

struct Draw {
  static constexpr std::uint32_t threads = DrawRanked::n_weights;
  const ForeseenDraws* how;
  std::uint32_t position, n;
  const float* logits;  // (n), falling
  std::uint32_t* place;

  void operator()() const {
    const DrawRanked draw(*how, position, n, reinterpret_cast<double*>(device::shared()));
    const std::uint32_t i = device::thread() % most_ranked;
    if (i < draw.n) draw.weigh(static_cast<double>(logits[i]) - logits[0]);
    device::sync_block();
    if (device::thread() == 0) *place = draw.place();
  }
};

std::uint32_t place_of(const Draw& draw) {
  std::uint32_t place = most_ranked;
  Draw kernel = draw;
  kernel.place = &place;
  emulator::launch(
      {1, 1}, Draw::threads, DrawRanked::n_weights * sizeof(double),
      [](const void* k) { (*static_cast<const Draw*>(k))(); }, &kernel);
  return place;
}

}  // namespace

TEST_CASE("cuda: a token drawn from the highest is Sampler's") {
  std::mt19937 random(7);
  const auto one_of = [&](std::initializer_list<float> of) { return of.begin()[random() % of.size()]; };
  std::set<std::uint32_t> places;
  for (int trial = 0; trial < 6000; ++trial) {
    const auto top_k = static_cast<std::uint32_t>(one_of({1, 2, 3, 20, 40, 63}));
    Sampler sampler({.temperature = one_of({0, 1e-40f, 0.01f, 0.5f, 0.8f, 1, 1.7f, 40}),
                     .top_k = top_k,
                     .top_p = one_of({0, 0.25f, 0.5f, 0.95f, 0.999f, 1}),
                     .min_p = one_of({0, 0, 0.05f, 0.5f, 1}),
                     .seed = random()},
                    1000);
    RankedRow row{.highest = {}, .top = 0, .sum = 1};
    // As many as it needs or more; steps of few heights, so that sums end on bounds and equals abound.
    const std::uint32_t n = top_k + 1 + random() % (most_ranked - top_k);
    const float step = one_of({0, 0.25f, 0.6931472f, 30, 3e38f});
    std::vector<float> logits;
    for (std::uint32_t i = 0; i < n; ++i) {
      const float last = logits.empty() ? one_of({-5, 0, 3e38f}) : logits.back();
      logits.push_back(random() % 3 == 0 ? std::max(last - step, -3.4e38f) : last);
      row.highest.push_back({logits.back(), static_cast<std::int32_t>(i)});
    }
    ForeseenDraws how = *sampler.foresee();
    const auto position = static_cast<std::uint32_t>(random() % 1000);
    how.uniforms[position % most_foreseen] = how.uniforms[0];
    const std::uint32_t place = place_of({&how, position, n, logits.data(), nullptr});
    CAPTURE(trial, place, n, top_k);
    REQUIRE(static_cast<std::int32_t>(place) == sampler.sample(row).token);
    places.insert(place);
  }
  CHECK(places.size() > 60);
}

TEST_CASE("cuda: sums of a draw are added in the sampler's order") {
  // Beside the highest the others are rounded away; before it they are not.
  std::vector<float> logits(most_ranked, -37.0f);
  logits[0] = 0;
  ForeseenDraws how{.temperature = 1, .top_k = most_ranked - 1, .top_p = 1, .min_p = 0};
  how.uniforms[0] = 1 - 0x1p-53;
  CHECK(place_of({&how, 0, most_ranked, logits.data(), nullptr}) == 0);
}

TEST_CASE("cuda: where rounding leaves no token, the last that can be drawn is") {
  ForeseenDraws how{.temperature = 0.01f, .top_k = 5, .top_p = 1, .min_p = 0};
  const float logits[] = {1, 1, 1, -1000, -1000, -2000};
  how.uniforms[3] = 1;  // no generator's
  CHECK(place_of({&how, 3, 6, logits, nullptr}) == 2);
  const float none[] = {NAN, NAN};
  CHECK(place_of({&how, 3, 2, none, nullptr}) == 0);
}
