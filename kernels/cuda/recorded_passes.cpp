// Finding the pass of a shape among the few that are kept.
// Used by pass.cpp.
#include "kernels/cuda/recorded_passes.hpp"

#include <algorithm>

namespace nibble::inline v0::cuda {

namespace {

// Drafts make passes of up to sixteen tokens, and spans change while a text grows: more than a text is at at
// one time. A recording takes some kilobytes for each of its launches.
constexpr std::size_t most_passes = 32;

}  // namespace

RecordedPass& RecordedPasses::find(const PassShape& shape, bool& is_new) {
  auto found = std::ranges::find(passes_, shape, &RecordedPass::shape);
  is_new = found == passes_.end();
  if (is_new && passes_.size() < most_passes) {
    found = passes_.insert(passes_.end(), {.shape = shape, .recording = nullptr});
  } else if (is_new) {
    found = std::ranges::min_element(passes_, {}, &RecordedPass::last_use);
    *found = {.shape = shape, .recording = nullptr};
  }
  found->last_use = ++uses_;
  return *found;
}

}  // namespace nibble::inline v0::cuda
