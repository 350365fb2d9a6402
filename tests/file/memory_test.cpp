// What parsing allocates: never more than 16 bytes per byte of input and 1 MiB, and every failing allocation
// ends in a typed error without a leak.
#include "nibble/file/checkpoint.hpp"
#include "nibble/file/gguf.hpp"
#include "nibble/file/safetensors.hpp"
#include "src/file/json.hpp"
#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/counting_heap.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using test::Bytes;

namespace {

// Parses, whatever comes of it, and checks the peak.
void bounded(std::string_view input, const std::function<void(const ByteSource&)>& parse) {
  const auto source = test::as_source(input);
  const test::Heap used = test::count([&] {
    try {
      parse(*source);
    } catch (const Error&) {
    }
  });
  INFO(used.peak << " bytes for " << input.size() << ": " << input.substr(0, 40));
  CHECK(used.peak <= 16 * input.size() + (1 << 20));
  CHECK(used.live == 0);
}

std::string repeat(std::string_view unit, std::size_t n) {
  std::string result;
  for (std::size_t i = 0; i < n; ++i) result += unit;
  return result;
}

}  // namespace

TEST_CASE("GGUF parsing takes memory in proportion to the file") {
  const auto parse = [](const ByteSource& source) { parse_gguf(source); };
  constexpr std::size_t n = 60'000;
  // The densest of everything: entries, strings, narrow numbers, tensors.
  Bytes entries = Bytes::gguf(0, n);
  Bytes tensors = Bytes::gguf(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    const std::string name = std::to_string(i);
    entries.key(name, 7).u8(1);
    tensors.tensor(name, {1}, 24, i * 32);
  }
  bounded(entries.data(), parse);
  bounded(tensors.pad(32).zeros(n * 32).data(), parse);
  bounded(Bytes::gguf(0, 1).key("k", 9).u32(8).u64(n).zeros(8 * n).data(), parse);
  bounded(Bytes::gguf(0, 1).key("k", 9).u32(0).u64(8 * n).zeros(8 * n).data(), parse);
  bounded(Bytes::gguf(0, 1).key("k", 9).u32(7).u64(8 * n).zeros(8 * n).data(), parse);
  // Counts that promise more than there is.
  bounded(Bytes::gguf(~0ull, ~0ull).data(), parse);
  bounded(Bytes::gguf(n, 0).zeros(24 * n).data(), parse);
  bounded(Bytes::gguf(0, 1).key("k", 9).u32(8).u64(1ull << 40).zeros(100).data(), parse);
}

TEST_CASE("JSON parsing takes memory in proportion to the text") {
  const auto parse = [](const ByteSource& source) {
    parse_json({reinterpret_cast<const char*>(source.bytes().data()), source.bytes().size()}, "test");
  };
  constexpr std::size_t n = 1 << 20;
  for (const std::string_view unit :
       {"[],", "{},", "0,", "\"\",", "[0],", "{\"\":0},", ",", "[", "\\", "\"", ":", "\",,,,\","}) {
    std::string text = "[";
    text += repeat(unit, n);
    bounded(text += "0]", parse);
  }
  std::string object = "{";
  for (std::size_t i = 0; i < n; ++i) (object += '"').append(std::to_string(i)) += "\":0,";
  bounded(object += "\"\":0}", parse);
}

TEST_CASE("safetensors parsing takes memory in proportion to the header") {
  std::string header = "{";
  for (std::size_t i = 0; i < 60'000; ++i) {
    header += std::string(i ? ",\"" : "\"") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  bounded(Bytes::safetensors(header + "}", 0).data(),
          [](const ByteSource& source) { parse_safetensors(source); });
}

TEST_CASE("every failing allocation while parsing is a typed error without a leak") {
  const auto gguf = test::as_source(test::tiny_gguf().data());
  test::survives([&] { parse_gguf(*gguf); });
  const auto safetensors = test::as_source(test::tiny_safetensors().data());
  test::survives([&] { parse_safetensors(*safetensors); });
}

TEST_CASE("every failing allocation while opening files is a typed error without a leak") {
  const test::TempFolder folder;
  const auto gguf = folder.write("a.gguf", test::tiny_gguf().data());
  test::survives([&] { Checkpoint::open(gguf, LoadMode::copy); });
  test::survives([&] { Checkpoint::open(gguf, LoadMode::map); });
  folder.write("config.json", R"({"a":{"b":[1,2]},"c":["x"]})");
  folder.write("m.safetensors", test::tiny_safetensors().data());
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"m.safetensors"}})");
  test::survives([&] { Checkpoint::open(folder.path()); });
}
