// What every fuzz target demands of the library: typed, positioned errors, and nothing accepted that is
// wrong. A broken demand traps, which both libFuzzer and the replay report.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nibble/core/error.hpp"
#include "nibble/core/tensor.hpp"
#include "nibble/file/byte_source.hpp"

namespace nibble::fuzz {

inline void demand(bool holds) {
  if (!holds) __builtin_trap();
}

inline std::shared_ptr<const ByteSource> as_source(const std::uint8_t* data, std::size_t size) {
  return ByteSource::from_bytes(std::as_bytes(std::span(data, size)), "input");
}

// Runs `call`; the only exception that may leave it is an Error that says where.
template <class Call>
void only_errors(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    demand(error.code() != ErrorCode::internal && error.code() != ErrorCode::out_of_memory);
    demand(error.source() == "input");
    demand(error.what()[0] != '\0');
  } catch (...) {
    demand(false);
  }
}

// Every tensor lies in the file, where its offset says, and shares no byte with another.
inline void demand_ranges(std::span<const Tensor> tensors, const ByteSource& source) {
  struct Range {
    std::uint64_t begin, end;
  };
  std::vector<Range> ranges;
  for (const Tensor& tensor : tensors) {
    demand(tensor.bytes.size() <= source.bytes().size());
    demand(tensor.offset <= source.bytes().size() - tensor.bytes.size());
    demand(tensor.bytes.data() == source.bytes().data() + tensor.offset);
    demand(!tensor.name.empty());
    if (!tensor.bytes.empty()) ranges.push_back({tensor.offset, tensor.offset + tensor.bytes.size()});
  }
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < ranges.size(); ++i) demand(ranges[i - 1].end <= ranges[i].begin);
}

}  // namespace nibble::fuzz
