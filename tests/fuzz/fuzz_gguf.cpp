// Fuzzes the GGUF reader: any bytes give a checked file or a positioned Error.
// See tests/fuzz/CMakeLists.txt for how to run it.
#include "fuzz/oracle.hpp"
#include "nibble/file/gguf.hpp"
#include "nibble/quant/formats.hpp"

using namespace nibble;

namespace {

void demand_sound(const Gguf& gguf, const ByteSource& source) {
  fuzz::demand_ranges(gguf.tensors, source);
  fuzz::demand(gguf.alignment != 0 && (gguf.alignment & (gguf.alignment - 1)) == 0);
  for (const Tensor& tensor : gguf.tensors) {
    fuzz::demand(tensor.offset % gguf.alignment == 0);
    fuzz::demand(tensor.shape.rank() >= 1 && tensor.shape.elements() >= 1);
    if (const Format* format = find_format(tensor.dtype)) {
      fuzz::demand(tensor.shape.cols() % format->block_size == 0);
      fuzz::demand(tensor.bytes.size() == row_bytes(*format, tensor.shape.cols()) * tensor.shape.rows());
    }
  }
  const Metadata& metadata = gguf.metadata;
  for (const auto& item : metadata.entries()) {
    const std::string& key = item.first;
    fuzz::demand(!key.empty() && !item.second.position.empty());
    fuzz::demand(metadata.find(key) == &item.second);
    fuzz::only_errors([&] { metadata.count(key); });
    fuzz::only_errors([&] { metadata.number(key); });
    fuzz::only_errors([&] { metadata.numbers(key); });
    fuzz::only_errors([&] { metadata.texts(key); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto source = fuzz::as_source(data, size);
  fuzz::only_errors([&] { demand_sound(parse_gguf(*source), *source); });
  return 0;
}
