// Files that look odd and are right: refusing them would be a bug too.
#include "nibble/file/checkpoint.hpp"
#include "nibble/file/gguf.hpp"
#include "nibble/file/safetensors.hpp"
#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using test::Bytes;

namespace {

Gguf read(const Bytes& file) { return parse_gguf(*test::as_source(file.data())); }

}  // namespace

TEST_CASE("a GGUF value of every type is read as written") {
  const auto source = test::as_source(test::tiny_gguf().data());
  const Gguf gguf = parse_gguf(*source);
  const Metadata& m = gguf.metadata;
  CHECK(gguf.version == 3);
  CHECK(gguf.alignment == 32);
  CHECK(m.text("general.architecture") == "llama");
  CHECK(m.find("general.architecture")->position == "byte 24");
  CHECK(std::get<std::int64_t>(m.find("u8")->value) == 1);
  CHECK(std::get<std::int64_t>(m.find("i8")->value) == -1);
  CHECK(std::get<std::int64_t>(m.find("u16")->value) == 2);
  CHECK(std::get<std::int64_t>(m.find("i16")->value) == -2);
  CHECK(std::get<std::int64_t>(m.find("u32")->value) == 3);
  CHECK(std::get<std::int64_t>(m.find("i32")->value) == -3);
  CHECK(std::get<std::int64_t>(m.find("i64")->value) == -4);
  CHECK(m.count("u64") == ~0ull);
  CHECK(m.number("f32") == 0.5);
  CHECK(m.number("f64") == 0.25);
  CHECK(m.flag("bool", false));
  CHECK(*m.texts("strings") == std::vector<std::string>{"a", "", "\xff"});
  CHECK(*m.integers("ints") == std::vector<std::int64_t>{-1, 1});
  CHECK(*m.flags("bools") == std::vector<bool>{false, true});
  CHECK(*m.numbers("floats") == std::vector<double>{1.5});
  REQUIRE(gguf.tensors.size() == 2);
  CHECK(gguf.tensors[0].name == "matrix");
  CHECK(gguf.tensors[0].shape == Shape{3, 4});
  CHECK(gguf.tensors[0].bytes.size() == 48);
  CHECK(gguf.tensors[0].source == "test");
  CHECK(gguf.tensors[1].offset == gguf.tensors[0].offset + 64);
  CHECK(gguf.tensors[1].bytes.data() == source->bytes().data() + gguf.tensors[1].offset);
  CHECK(gguf.tensors[1].bytes.size() == 34);
}

TEST_CASE("GGUF version 2") { CHECK(read(Bytes::gguf(0, 0, 2)).version == 2); }

TEST_CASE("a GGUF file without tensors needs no padding") {
  const Gguf gguf = read(Bytes::gguf(0, 1).key("k", 8).string("odd length"));
  CHECK(gguf.tensors.empty());
  CHECK(gguf.metadata.text("k") == "odd length");
}

TEST_CASE("alignments other than 32") {
  for (const std::uint32_t alignment : {1u, 8u, 64u, 65'536u}) {
    Bytes file = Bytes::gguf(2, 1).key("general.alignment", 4).u32(alignment);
    const std::uint64_t second = std::max<std::uint64_t>(alignment, 16);
    file.tensor("a", {4}, 0, 0).tensor("b", {4}, 0, second).pad(alignment);
    const std::size_t data = file.size();
    const Gguf gguf = read(file.zeros(second + 16));
    CHECK(gguf.alignment == alignment);
    CHECK(gguf.tensors[0].offset == data);
    CHECK(gguf.tensors[1].offset == data + second);
  }
}

TEST_CASE("tensors out of order, with gaps, and bytes behind the last") {
  const Gguf gguf =
      read(Bytes::gguf(2, 0).tensor("b", {4}, 0, 96).tensor("a", {4}, 0, 0).pad(32).zeros(96 + 16 + 100));
  CHECK(gguf.tensors[0].name == "b");
  CHECK(gguf.tensors[0].offset > gguf.tensors[1].offset);
}

TEST_CASE("tensor types that this build does not decode keep their bytes") {
  struct Case {
    std::uint32_t type;
    std::uint64_t cols;
    std::size_t bytes;
  };
  for (const Case c : {Case{9, 32, 36}, Case{16, 256, 66}, Case{19, 256, 50}, Case{24, 5, 5}, Case{27, 5, 40},
                       Case{28, 3, 24}, Case{29, 512, 112}, Case{34, 256, 54}, Case{40, 64, 36}}) {
    const Gguf gguf = read(Bytes::gguf(1, 0).tensor("t", {c.cols}, c.type, 0).pad(32).zeros(c.bytes));
    CHECK(gguf.tensors[0].bytes.size() == c.bytes);
    CHECK(static_cast<std::uint32_t>(gguf.tensors[0].dtype) == c.type);
  }
}

TEST_CASE("safetensors: padding, scalars, empty extents, any order, dtypes without a GGUF number") {
  const std::string header =
      R"({"s":{"dtype":"F64","shape":[],"data_offsets":[3,11]},)"
      R"("e":{"dtype":"F32","shape":[0,7],"data_offsets":[3,3]},)"
      R"("f":{"shape":[3],"more":{"x":[null]},"dtype":"F8_E4M3","data_offsets":[0,3]},)"
      R"("h":{"dtype":"F4","shape":[2],"data_offsets":[11,12]}}   )";
  const auto source = test::as_source(Bytes::safetensors(header, 12).data());
  const auto tensors = parse_safetensors(*source);
  REQUIRE(tensors.size() == 4);
  CHECK(tensors[0].name == "f");
  CHECK(static_cast<std::uint32_t>(tensors[0].dtype) >= first_foreign_dtype);
  CHECK(tensors[1].name == "e");
  CHECK(tensors[1].bytes.empty());
  CHECK(tensors[1].shape == Shape{0, 7});
  CHECK(tensors[2].name == "s");
  CHECK(tensors[2].shape.rank() == 0);
  CHECK(tensors[2].offset == 8 + header.size() + 3);
  CHECK(tensors[2].bytes.data() == source->bytes().data() + tensors[2].offset);
  CHECK(tensors[2].source == "test");
  CHECK(parse_safetensors(*test::as_source(Bytes::safetensors("{}", 0).data())).empty());
}

TEST_CASE("a split GGUF opens as one checkpoint") {
  const test::TempFolder folder;
  const auto shard = [](std::uint16_t number, std::string_view tensor) {
    return Bytes::gguf(1, 3)
        .key("split.no", 2)
        .put(number)
        .key("split.count", 2)
        .put<std::uint16_t>(2)
        .key("only here", 2)
        .put(number)
        .tensor(tensor, {4}, 0, 0)
        .pad(32)
        .zeros(16);
  };
  const auto first = folder.write("m-00001-of-00002.gguf", shard(0, "a").data());
  folder.write("m-00002-of-00002.gguf", shard(1, "b").data());
  const Checkpoint checkpoint = Checkpoint::open(first);
  CHECK(checkpoint.container == Container::gguf);
  CHECK(checkpoint.files.size() == 2);
  CHECK(checkpoint.tensors.size() == 2);
  CHECK(checkpoint.metadata.count("only here") == 0);
  REQUIRE(checkpoint.find("b"));
  CHECK(checkpoint.find("b")->bytes.size() == 16);
  CHECK(!checkpoint.find("c"));
}

TEST_CASE("safetensors open by folder, by index and by file") {
  const test::TempFolder folder;
  folder.write("config.json", R"({
    "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "rope_theta": 10000.0, "head_dim": null,
    "tie_word_embeddings": true, "rope_scaling": {"factor": 8, "rope_type": "llama3"}, "big": 9223372036854775808,
    "eos_token_id": [1, 2], "factors": [1, 2.5], "flags": [true], "none": [], "mixed": [1, "a"], "nested": [[1], {}]
  })");
  const auto file = folder.write("model-00001-of-00001.safetensors", test::tiny_safetensors().data());
  const auto check = [&](const Checkpoint& checkpoint) {
    CHECK(checkpoint.container == Container::safetensors);
    CHECK(checkpoint.folder == folder.path());
    CHECK(checkpoint.tensors.size() == 2);
    REQUIRE(checkpoint.find("a"));
    CHECK(checkpoint.find("a")->shape == Shape{2, 2});
    const Metadata& m = checkpoint.metadata;
    CHECK(m.texts("architectures")->front() == "LlamaForCausalLM");
    CHECK(m.count("hidden_size") == 64);
    CHECK(m.find("hidden_size")->position == "/hidden_size");
    CHECK(m.number("rope_theta") == 10'000.0);
    CHECK(!m.has("head_dim"));
    CHECK(m.flag("tie_word_embeddings", false));
    CHECK(m.number("rope_scaling.factor") == 8);
    CHECK(m.find("rope_scaling.rope_type")->position == "/rope_scaling/rope_type");
    CHECK(m.count("big") == 1ull << 63);
    CHECK(*m.integers("eos_token_id") == std::vector<std::int64_t>{1, 2});
    CHECK(*m.numbers("factors") == std::vector<double>{1, 2.5});
    CHECK(*m.flags("flags") == std::vector<bool>{true});
    CHECK(m.integers("none")->empty());
    CHECK(m.texts("none")->empty());
    CHECK(!m.has("mixed"));
    CHECK(!m.has("nested"));
  };
  for (const LoadMode mode : {LoadMode::map, LoadMode::copy}) {
    check(Checkpoint::open(folder.path(), mode));
    check(Checkpoint::open(file, mode));
  }
  // A tensor that the index does not mention is an extra one.
  const auto index = folder.write("model.safetensors.index.json",
                                  R"({"weight_map": {"a": "model-00001-of-00001.safetensors"}})");
  check(Checkpoint::open(index));
  check(Checkpoint::open(folder.path()));
}
