// How a caller follows and stops long work: log lines, progress and cancellation, as options of the object
// concerned. Passed down the whole flow; silent and unstoppable by default.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string_view>

namespace nibble::inline v0 {

enum class LogLevel { debug, info, warning };
using Log = std::function<void(LogLevel, std::string_view line)>;

enum class Stage { load, pack, prefill };
// `done` of `total` units: bytes for load and pack, tokens for prefill. Called on the calling thread.
using Progress = std::function<void(Stage stage, std::uint64_t done, std::uint64_t total)>;

struct Watch {
  Log log = {};
  Progress progress = {};
  std::stop_token stop = {};  // requested: the work ends with ErrorCode::cancelled, its object unchanged
};

}  // namespace nibble::inline v0
