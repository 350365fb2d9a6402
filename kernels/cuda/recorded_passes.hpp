// Passes that have come before, by all that their launches depend on, and the recordings of those that came
// more than once; and the pass that may have begun unasked. Owned by the backend, used by pass.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cuda/runtime.hpp"

namespace nibble::inline v0::cuda {

// All that grids and parameters of a pass depend on; tokens, positions and pages are read on the device.
struct PassShape {
  std::uint32_t n_tokens = 0, n_outputs = 0;
  std::uint32_t spans = 0;                      // of attention without a window, rounded up
  std::uint32_t n_ranked = 0, rank_tokens = 0;  // as RankOptions; 0: logits come whole
  friend bool operator==(const PassShape&, const PassShape&) = default;
};

struct RecordedPass {
  PassShape shape;
  std::unique_ptr<Recording> recording;  // null until the shape comes a second time
  std::uint64_t last_use = 0;
};

class RecordedPasses {
 public:
  // The pass of a shape; a new one where it has not come before, or so long ago that others took its place.
  RecordedPass& find(const PassShape& shape, bool& is_new);

 private:
  std::vector<RecordedPass> passes_;
  std::uint64_t uses_ = 0;
};

// The pass that goes on with the tokens that the last one has left, for a caller who means to.
struct PassAhead {
  PassShape shape;         // as the last one's; of no tokens: the caller did not say so
  bool is_begun = false;   // only where that one went on in this way itself
  std::uint64_t mark = 0;  // of the runtime, behind it
};

struct Passes {
  RecordedPasses recorded;
  PassAhead ahead;
};

}  // namespace nibble::inline v0::cuda
