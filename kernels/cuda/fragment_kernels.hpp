// The kernels of packed matrices, for the layouts of all formats of codes; the list a new format joins by
// itself. Between the formats and the runtimes' tables of kernels.
#pragma once

#include <utility>

#include "kernels/cuda/kernel_list.hpp"
#include "kernels/cuda/look_up.hpp"
#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/matmul_by_warpgroups.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cuda {

// The library's type numbers are below this.
inline constexpr std::uint32_t format_numbers = 64;

template <FragmentLayout layout>
struct KernelsOf {
  using LookUp = LookUpRows<layout>;
  using Few = MatmulBySlices<layout, 1, 1>;
  using Some = MatmulBySlices<layout, 2, 4>;
  using Many = MatmulByRows<layout>;
  using Warpgroups = MatmulByWarpgroups<layout>;
  using List = KernelList<LookUp, Few, Some, Many, Warpgroups>;
};

template <class Coded>
inline constexpr FragmentLayout layout_of = fragment_layout(Coded::codes, HasLevels<Coded>,
                                                            Coded::block_size);

template <std::uint32_t number, class F = typename FormatAt<number>::type>
constexpr auto fragment_kernels_at() {
  if constexpr (std::is_void_v<F>) {
    return KernelList<>();
  } else if constexpr (F::codes.group == 0) {
    return KernelList<>();
  } else {
    return typename KernelsOf<layout_of<F>>::List();
  }
}

template <std::uint32_t... numbers>
auto join_fragment_kernels(std::integer_sequence<std::uint32_t, numbers...>) ->
    typename Joined<KernelList<GroupUses, ConvertActivations>,
                    decltype(fragment_kernels_at<numbers>())...>::type;

using FragmentKernels =
    decltype(join_fragment_kernels(std::make_integer_sequence<std::uint32_t, format_numbers>()));

// visit.template operator()<KernelsOf<layout>>() for the format's layout, if it has codes; whether it has.
template <class Visit, std::uint32_t... numbers>
bool visit_kernels(const Format& format, const Visit& visit,
                   std::integer_sequence<std::uint32_t, numbers...>) {
  const auto at = [&]<std::uint32_t number, class F = typename FormatAt<number>::type>() {
    if constexpr (!std::is_void_v<F>) {
      if constexpr (F::codes.group != 0) {
        if (format.dtype == Dtype{number}) return visit.template operator()<KernelsOf<layout_of<F>>>(), true;
      }
    }
    return false;
  };
  return (at.template operator()<numbers>() || ...);
}
template <class Visit>
bool visit_kernels(const Format& format, const Visit& visit) {
  return visit_kernels(format, visit, std::make_integer_sequence<std::uint32_t, format_numbers>());
}

}  // namespace nibble::inline v0::cuda
