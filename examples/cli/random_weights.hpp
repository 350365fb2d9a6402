// Random weights made directly in a block format, without encoding floats.
// Used by `nibble synth`; the same seed gives the same bytes for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "nibble/quant/format.hpp"

namespace cli {

// Fills whole blocks with weights of mean zero (or nearly) and standard deviation `deviation`.
void fill_random(const nibble::Format& format, float deviation, std::uint64_t seed, std::span<std::byte> out);

}  // namespace cli
