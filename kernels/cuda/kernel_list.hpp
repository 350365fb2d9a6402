// A list of kernel types, from which each runtime makes its table of entries.
// Between kernels.hpp and the runtimes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace nibble::inline v0::cuda {

template <class... K>
struct KernelList {
  static constexpr std::size_t size = sizeof...(K);

  template <class Kernel>
  static constexpr std::size_t index() {
    static_assert((std::is_same_v<Kernel, K> || ...), "a kernel that kernels.hpp does not list");
    std::size_t i = 0, found = 0;
    ((std::is_same_v<Kernel, K> ? void(found = i) : void(), ++i), ...);
    return found;
  }
  // visit.template operator()<K>() for each.
  template <class Visit>
  static constexpr void for_each(Visit&& visit) {
    (visit.template operator()<K>(), ...);
  }
};

// Blocks that a multiprocessor is to hold at once, at least: registers are shared out for so many.
template <class Kernel>
constexpr std::uint32_t resident_blocks() {
  if constexpr (requires { Kernel::resident_blocks; }) {
    return Kernel::resident_blocks;
  } else {
    return 1;
  }
}

// Whether every thread of a kernel calls device::wait_for_previous() by itself, after it has asked for what
// no launch writes.
template <class Kernel>
constexpr bool waits_itself() {
  if constexpr (requires { Kernel::waits_itself; }) {
    return Kernel::waits_itself;
  } else {
    return false;
  }
}

// Whether a kernel is for devices with warpgroup.hpp's instructions alone.
template <class Kernel>
constexpr bool needs_warpgroups() {
  if constexpr (requires { Kernel::needs_warpgroups; }) {
    return Kernel::needs_warpgroups;
  } else {
    return false;
  }
}

template <class... Lists>
struct Joined;
template <class... A>
struct Joined<KernelList<A...>> {
  using type = KernelList<A...>;
};
template <class... A, class... B, class... Rest>
struct Joined<KernelList<A...>, KernelList<B...>, Rest...> {
  using type = typename Joined<KernelList<A..., B...>, Rest...>::type;
};

}  // namespace nibble::inline v0::cuda
