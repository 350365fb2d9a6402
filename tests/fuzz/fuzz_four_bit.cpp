// Fuzzes GPTQ and AWQ layers: parts of any shape and type under any description become a matrix of whole
// blocks, or a positioned Error. See tests/fuzz/CMakeLists.txt for how to run it.
#include <algorithm>

#include "fuzz/oracle.hpp"
#include "nibble/quant/formats.hpp"
#include "src/model/four_bit.hpp"

using namespace nibble;

namespace {

// Bytes of the input, one after the other; zeros behind its end.
struct Bytes {
  const std::uint8_t* data;
  std::size_t left;
  std::uint8_t next() {
    if (left == 0) return 0;
    --left;
    return *data++;
  }
};

// One byte a type, two a shape; the words come from all of the input, over and over.
void add_part(Bytes& in, const char* name, Dtype usual, bool vector, Checkpoint& files,
              std::vector<std::vector<std::byte>>& storage) {
  static constexpr Dtype others[] = {Dtype::F32, Dtype::F16, Dtype::I32, Dtype::I64};
  const std::uint8_t kind = in.next();
  if (kind == 255) return;  // missing
  const Dtype dtype = kind < 128 ? usual : others[kind % 4];
  const std::uint64_t rows = in.next(), cols = in.next();
  const Shape shape = vector ? Shape{rows + 256 * (cols % 4)} : Shape{rows, cols};
  const std::size_t size = dtype == Dtype::F16 ? 2 : dtype == Dtype::I64 ? 8 : 4;
  std::vector<std::byte>& bytes = storage.emplace_back(shape.elements() * size);
  Bytes words = in;
  for (std::byte& byte : bytes) {
    if (words.left == 0) words = in;
    byte = static_cast<std::byte>(words.next());
  }
  const std::string full = std::string("l.") + name;
  files.tensors[full] = {.name = full, .dtype = dtype, .shape = shape, .bytes = bytes, .source = "input"};
}

void demand_sound(const Weight& weight) {
  const Format* format = find_format(weight.tensor.dtype);
  fuzz::demand(format != nullptr && format->family == Family::codes4);
  const Shape& shape = weight.tensor.shape;
  fuzz::demand(weight.tensor.bytes.size() == shape.rows() * row_bytes(*format, shape.cols()));
  fuzz::demand(weight.order.empty() || weight.order.size() == shape.cols());
  std::vector<std::uint32_t> order = weight.order;
  std::sort(order.begin(), order.end());
  for (std::uint32_t i = 0; i < order.size(); ++i) fuzz::demand(order[i] == i);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes in{data, size};
  Checkpoint files;
  files.source = "input";
  files.metadata = Metadata("input");
  const auto describe = [&](const char* key, Value value) {
    files.metadata.set(std::string("quantization_config.") + key, std::move(value));
  };
  const std::uint8_t flags = in.next();
  describe("quant_method", std::string((flags & 1) != 0 ? "awq" : "gptq"));
  describe("bits", std::int64_t{(flags & 2) != 0 ? 8 : 4});
  describe("group_size", std::int64_t{static_cast<std::int8_t>(in.next())} * ((flags & 4) != 0 ? 1 : 32));
  if ((flags & 8) != 0) describe("checkpoint_format", std::string("gptq_v2"));
  std::vector<std::vector<std::byte>> storage;
  add_part(in, "qweight", Dtype::I32, false, files, storage);
  add_part(in, "scales", Dtype::F16, false, files, storage);
  add_part(in, "qzeros", Dtype::I32, false, files, storage);
  if ((flags & 16) != 0) add_part(in, "g_idx", Dtype::I32, true, files, storage);
  fuzz::only_errors([&] {
    if (const auto weight = find_four_bit(files, read_four_bit(files.metadata), "l.weight"))
      demand_sound(*weight);
  });
  return 0;
}
