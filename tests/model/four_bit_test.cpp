// GPTQ and AWQ layers whose parts or description contradict each other: refused, and by name.
// What right ones become is held against their makers' definitions in tests/parity.
#include "src/model/four_bit.hpp"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/expect_error.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

// One layer of 64 inputs and 8 outputs, groups of 32, zeros of 7 + 1.
struct Layer {
  Checkpoint files;
  std::vector<std::unique_ptr<std::vector<std::byte>>> storage;

  explicit Layer(bool awq = false) {
    files.source = "folder";
    files.metadata = Metadata("config.json");
    describe("quant_method", std::string(awq ? "awq" : "gptq"));
    describe("bits", std::int64_t{4});
    describe("group_size", std::int64_t{32});
    awq ? part("qweight", Dtype::I32, {64, 1}) : part("qweight", Dtype::I32, {8, 8});
    part("qzeros", Dtype::I32, {2, 1}, 0x77777777);
    part("scales", Dtype::F16, {2, 8}, 0x3c003c00);
  }

  void describe(const std::string& key, Value value) {
    files.metadata.set("quantization_config." + key, std::move(value));
  }
  // Every 4 bytes are `word`.
  void part(const std::string& name, Dtype dtype, Shape shape, std::uint32_t word = 0) {
    const std::size_t size = dtype == Dtype::F16 ? 2 : 4;
    auto bytes = std::make_unique<std::vector<std::byte>>(shape.elements() * size);
    for (std::size_t i = 0; i < bytes->size(); ++i) (*bytes)[i] = static_cast<std::byte>(word >> i % 4 * 8);
    files.tensors["l." + name] = {.name = "l." + name,
                                  .dtype = dtype,
                                  .shape = shape,
                                  .bytes = *bytes,
                                  .source = "tensors",
                                  .offset = 96};
    storage.push_back(std::move(bytes));
  }
  void groups(std::int32_t (*group_of)(std::int32_t input)) {
    part("g_idx", Dtype::I32, {64});
    for (std::int32_t i = 0; i < 64; ++i) {
      const std::int32_t group = group_of(i);
      std::memcpy(storage.back()->data() + 4 * i, &group, sizeof group);
    }
  }
  std::optional<Weight> read() const {
    return find_four_bit(files, read_four_bit(files.metadata), "l.weight");
  }
  void refuse(ErrorCode code, const std::string& field, const std::string& position = "byte 96") const {
    const Error error = expect_error([&] { read(); }, code, position);
    CHECK(error.field() == field);
  }
  void refuse_config(ErrorCode code, const std::string& key) const {
    refuse(code, "quantization_config." + key, "");
  }
};

}  // namespace

TEST_CASE("four bit: a layer that is right is read, an absent one is not there") {
  Layer layer;
  REQUIRE(layer.read());
  CHECK(layer.read()->tensor.shape == Shape{8, 64});
  CHECK(layer.read()->order.empty());
  CHECK(Layer(true).read()->tensor.shape == Shape{8, 64});
  layer.groups([](std::int32_t i) { return i % 2; });
  CHECK(layer.read()->order[33] == 3);  // the second of the odd inputs
  layer.files.tensors.erase("l.qweight");
  CHECK(!layer.read());
}

TEST_CASE("four bit: experts, each with parts of its own; an order of inputs for each is refused") {
  Layer layer;
  layer.files.container = Container::safetensors;
  for (const std::string expert : {"0.", "1."}) {
    layer.part(expert + "qweight", Dtype::I32, {8, 8}, expert == "0." ? 0x88888888 : 0x99999999);
    layer.part(expert + "qzeros", Dtype::I32, {2, 1}, 0x77777777);
    layer.part(expert + "scales", Dtype::F16, {2, 8}, 0x3c003c00);
  }
  const TensorRow table[] = {
      {.name = "blk.0.ffn_gate_exps.weight", .hf_name = "l.{E}.weight", .rows = 8, .cols = 64, .experts = 2}};
  const Weights weights = Weights::resolve(layer.files, table, {});
  for (const auto& [name, value] :
       {std::pair("blk.0.ffn_gate.0.weight", 0.0f), {"blk.0.ffn_gate.1.weight", 1.0f}}) {
    const WeightId id = weights.get(name);
    CHECK(weights[id].tensor.shape == Shape{8, 64});
    CHECK(weights.vector(id) == std::vector<float>(8 * 64, value));
  }

  layer.groups([](std::int32_t i) { return i % 2; });
  layer.files.tensors["l.1.g_idx"] = layer.files.tensors["l.g_idx"];
  const Error error =
      expect_error([&] { Weights::resolve(layer.files, table, {}); }, ErrorCode::unsupported, "byte 96");
  CHECK(error.field() == "l.1.weight");
}

TEST_CASE("malformed: four bit, impossible group sizes") {
  for (const std::int64_t size : {0, -2, 1, 31, 48, 1 << 31}) {
    CAPTURE(size);
    Layer layer;
    layer.describe("group_size", size);
    layer.refuse_config(ErrorCode::out_of_range, "group_size");
  }
  Layer layer;
  layer.files.metadata = Metadata("config.json");
  layer.describe("quant_method", std::string("gptq"));
  layer.describe("bits", std::int64_t{4});
  layer.refuse_config(ErrorCode::missing, "group_size");
}

TEST_CASE("malformed: four bit, methods, widths and layouts that are unknown") {
  const auto refuse = [](bool awq, const std::string& key, Value value) {
    Layer layer(awq);
    layer.describe(key, std::move(value));
    layer.refuse_config(ErrorCode::unsupported, key);
  };
  refuse(false, "quant_method", std::string("bitsandbytes"));
  refuse(false, "bits", std::int64_t{3});
  refuse(false, "checkpoint_format", std::string("marlin"));
  refuse(true, "version", std::string("gemv"));
  refuse(true, "zero_point", false);
}

TEST_CASE("malformed: four bit, parts that are missing") {
  for (const char* name : {"l.qzeros", "l.scales"}) {
    Layer layer;
    layer.files.tensors.erase(name);
    layer.refuse(ErrorCode::missing, name, "");
  }
}

TEST_CASE("malformed: four bit, g_idx out of range") {
  Layer layer;
  layer.groups([](std::int32_t i) { return i == 5 ? 2 : 0; });
  layer.refuse(ErrorCode::out_of_range, "l.g_idx");
  layer.groups([](std::int32_t i) { return i == 5 ? -1 : 0; });
  layer.refuse(ErrorCode::out_of_range, "l.g_idx");
}

TEST_CASE("malformed: four bit, groups that are no whole blocks") {
  Layer layer;
  layer.groups([](std::int32_t i) { return i < 33 ? 0 : 1; });
  layer.refuse(ErrorCode::unsupported, "l.qweight");
}

TEST_CASE("malformed: four bit, shapes that do not fit each other") {
  const auto refuse = [](const std::string& name, Dtype dtype, Shape shape, bool awq = false) {
    Layer layer(awq);
    layer.part(name, dtype, shape);
    CAPTURE(to_string(shape));
    layer.refuse(ErrorCode::shape_mismatch, "l." + name);
  };
  refuse("qweight", Dtype::I32, {64});
  refuse("qweight", Dtype::I32, {0, 8});
  refuse("qweight", Dtype::I32, {7, 8});   // 56 inputs
  refuse("qweight", Dtype::I32, {8, 12});  // half a word of zeros
  refuse("qweight", Dtype::I32, {63, 1}, true);
  refuse("scales", Dtype::F16, {2, 16});
  refuse("scales", Dtype::F16, {3, 8});
  refuse("qzeros", Dtype::I32, {1, 1});
  refuse("qzeros", Dtype::I32, {2, 8});
  refuse("g_idx", Dtype::I32, {32});
  refuse("g_idx", Dtype::I32, {8, 8});
}

TEST_CASE("malformed: four bit, parts of another type") {
  const auto refuse = [](const std::string& name, Dtype dtype, Shape shape) {
    Layer layer;
    layer.part(name, dtype, shape);
    layer.refuse(ErrorCode::unsupported, "l." + name);
  };
  refuse("qweight", Dtype::F32, {8, 8});
  refuse("qzeros", Dtype::F16, {2, 1});
  refuse("scales", Dtype::BF16, {2, 8});
  refuse("g_idx", Dtype::I64, {64});
}
