// Fuzzes the safetensors reader and the JSON reader under it: a checked file or a positioned Error.
// See tests/fuzz/CMakeLists.txt for how to run it.
#include <set>

#include "fuzz/oracle.hpp"
#include "nibble/file/safetensors.hpp"

using namespace nibble;

namespace {

// The tensors tile everything behind the header, in order, each name once.
void demand_sound(const std::vector<Tensor>& tensors, const ByteSource& source) {
  fuzz::demand_ranges(tensors, source);
  std::set<std::string> names;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t end = tensors[i].offset + tensors[i].bytes.size();
    const bool last = i + 1 == tensors.size();
    fuzz::demand(end == (last ? source.bytes().size() : tensors[i + 1].offset));
    fuzz::demand(names.insert(tensors[i].name).second);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto source = fuzz::as_source(data, size);
  fuzz::only_errors([&] { demand_sound(parse_safetensors(*source), *source); });
  return 0;
}
