// Work in parts on several threads, for the commands that write models.
// Parts are handed out in order; the failure of the earliest part is the one reported.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>

namespace cli {

// Calls work(part) for every part in [0, parts) on `threads` threads (0: one per CPU). Throws what the
// earliest failing part threw; Error(cancelled) where `stop` was requested before all had begun.
void for_each_part(std::size_t parts, std::uint32_t threads, const std::stop_token& stop,
                   const std::function<void(std::size_t part)>& work);

}  // namespace cli
