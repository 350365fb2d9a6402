// The registry behind arch/all.hpp, and finding the architecture that a checkpoint names.
// Between the file stage and an architecture's own header.
#include "nibble/model/architecture.hpp"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "nibble/arch/all.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint32_t n_places = 256;

// By type: comparing the address itself is no constant expression for GCC's undefined-behaviour sanitizer.
template <std::size_t place>
constexpr bool is_taken = !std::is_null_pointer_v<decltype(ArchitectureAt<place>::value)>;

template <std::size_t... places>
constexpr auto collect(std::index_sequence<places...>) {
  std::array<const Architecture*, (0 + ... + std::size_t{is_taken<places>})> list{};
  std::size_t n = 0;
  ((is_taken<places> ? void(list[n++] = ArchitectureAt<places>::value) : void()), ...);
  return list;
}

constexpr auto list = collect(std::make_index_sequence<n_places>());

std::string known_names(bool gguf) {
  std::string names;
  for (const Architecture* a : list) {
    if (gguf) names += (names.empty() ? "" : ", ") + std::string(a->name);
    if (gguf) continue;
    for (std::string_view hf : a->hf_names) names += (names.empty() ? "" : ", ") + std::string(hf);
  }
  return names;
}

}  // namespace

std::span<const Architecture* const> architectures() noexcept { return list; }

const Architecture& find_architecture(const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.container == Container::gguf;
  const std::string_view key = gguf ? "general.architecture" : "architectures";
  std::string name;
  if (gguf) {
    name = checkpoint.metadata.text(key);
  } else if (const auto* names = checkpoint.metadata.texts(key); names != nullptr && !names->empty()) {
    name = names->front();
  } else {
    throw checkpoint.metadata.error(ErrorCode::missing, key, "", known_names(gguf));
  }
  for (const Architecture* a : list) {
    if (gguf ? a->name == name : std::ranges::find(a->hf_names, name) != a->hf_names.end()) return *a;
  }
  throw checkpoint.metadata.error(ErrorCode::unsupported, key, "'" + name + "'", known_names(gguf));
}

}  // namespace nibble::inline v0
