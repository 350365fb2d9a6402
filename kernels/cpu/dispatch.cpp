// Choosing a tier by the CPU's features or by name, and filling its gaps.
// First thing the CPU backend does.
#include "kernels/cpu/dispatch.hpp"

#include <algorithm>
#include <string>

#include "nibble/core/error.hpp"

namespace nibble::inline v0::cpu {

namespace {

Error no_such_tier(std::string_view name) {
  std::string here;
  std::string_view last;  // tables of one name follow each other
  for (const Tier& tier : tiers()) {
    if (!runs_here(tier) || tier.table->tier == last) continue;
    last = tier.table->tier;
    here.append(here.empty() ? "" : ", ").append(last);
  }
  return Error({.code = ErrorCode::unsupported,
                .source = "cpu backend",
                .field = "isa",
                .found = std::string("'").append(name).append("'"),
                .allowed = here});
}

template <class Entry>
void inherit(Entry& entry, const Entry& base) noexcept {
  if (entry == nullptr) entry = base;
}

}  // namespace

bool runs_here(const Tier& tier) noexcept {
  for (std::string_view rest = tier.features; !rest.empty();) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    if (!has_feature(rest.substr(0, end))) return false;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return true;
}

const KernelTable& find_tier(std::string_view name) {
  for (const Tier& tier : tiers()) {
    if ((name.empty() || name == tier.table->tier) && runs_here(tier)) return *tier.table;
  }
  throw no_such_tier(name);
}

Kernels::Kernels(const KernelTable& table) noexcept
    : tier(&table), portable(tiers().back().table), attend(table.attend), floats{} {
  if (table.floats != nullptr) floats = *table.floats;
  inherit(attend, portable->attend);
  inherit(floats.norm, portable->floats->norm);
  inherit(floats.rope, portable->floats->rope);
  inherit(floats.gate, portable->floats->gate);
  inherit(floats.add, portable->floats->add);
  inherit(floats.finish, portable->floats->finish);
}

const MatmulKernel& Kernels::matmul(const Format& format, std::size_t rows, std::size_t cols) const noexcept {
  const MatmulKernel* own = tier->matmul == nullptr ? nullptr : tier->matmul(format, rows, cols);
  return own != nullptr ? *own : *portable->matmul(format, rows, cols);
}

}  // namespace nibble::inline v0::cpu
