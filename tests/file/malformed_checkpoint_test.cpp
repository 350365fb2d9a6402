// Malformed sets of files and things that are no files, numbered as in docs/file.md.
#include <sys/stat.h>

#include <filesystem>

#include "nibble/file/checkpoint.hpp"
#include "support/bytes.hpp"
#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using test::Bytes;

namespace {

// One shard: split.no, split.count, split.tensors.count and one tensor.
Bytes shard(std::uint16_t number, std::uint16_t count, std::int32_t total, std::string_view tensor) {
  return Bytes::gguf(1, 3)
      .key("split.no", 2)
      .put(number)
      .key("split.count", 2)
      .put(count)
      .key("split.tensors.count", 5)
      .put(total)
      .tensor(tensor, {4}, 0, 0)
      .pad(32)
      .zeros(16);
}

constexpr std::uint64_t split_no_at = 24;
constexpr std::uint64_t split_count_at = split_no_at + 8 + 8 + 4 + 2;
constexpr std::uint64_t split_total_at = split_count_at + 8 + 11 + 4 + 2;

class SplitModel {
 public:
  void write(int number, const Bytes& bytes) {
    folder_.write("m-0000" + std::to_string(number) + "-of-00002.gguf", bytes.data());
  }
  std::filesystem::path path(int number) const {
    return folder_.path() / ("m-0000" + std::to_string(number) + "-of-00002.gguf");
  }
  // Opening by file `number` fails so, in file `source`.
  void refused(int number, ErrorCode code, std::string_view position, int source) const {
    const Error error = test::expect_error([&] { Checkpoint::open(path(number)); }, code, position);
    CHECK(error.source() == path(source).string());
  }

 private:
  test::TempFolder folder_;
};

// A folder with config.json, shards a and b, and an index as told.
void index_refused(std::string_view index, ErrorCode code, std::string_view position) {
  const test::TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("a.safetensors",
               Bytes::safetensors(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1).data());
  folder.write("b.safetensors",
               Bytes::safetensors(R"({"y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1).data());
  const auto path = folder.write("model.safetensors.index.json", index);
  const Error error = test::expect_error([&] { Checkpoint::open(folder.path()); }, code, position);
  CHECK(error.source() == path.string());
}

}  // namespace

TEST_CASE("malformed 26: shards of a split GGUF that do not fit together") {
  SplitModel model;
  model.write(1, shard(0, 2, 2, "a"));
  SECTION("shard absent") { model.refused(1, ErrorCode::missing, "", 2); }
  SECTION("opened by another than the first") {
    model.write(2, shard(1, 2, 2, "b"));
    model.refused(2, ErrorCode::out_of_range, at_byte(split_no_at), 2);
  }
  SECTION("index wrong") {
    model.write(2, shard(0, 2, 2, "b"));
    model.refused(1, ErrorCode::malformed, at_byte(split_no_at), 2);
  }
  SECTION("count wrong in a later shard") {
    model.write(2, shard(1, 3, 2, "b"));
    model.refused(1, ErrorCode::malformed, at_byte(split_count_at), 2);
  }
  SECTION("count differs from the file name") {
    model.write(1, shard(0, 3, 2, "a"));
    model.refused(1, ErrorCode::malformed, at_byte(split_count_at), 1);
  }
  SECTION("count above the limit") {
    model.write(1, shard(0, 1'025, 2, "a"));
    model.refused(1, ErrorCode::limit, at_byte(split_count_at), 1);
  }
  SECTION("total wrong") {
    model.write(1, shard(0, 2, 3, "a"));
    model.write(2, shard(1, 2, 3, "b"));
    model.refused(1, ErrorCode::malformed, at_byte(split_total_at), 1);
  }
  SECTION("a tensor in both") {
    model.write(2, shard(1, 2, 2, "a"));
    const std::size_t data_at = shard(1, 2, 2, "a").size() - 16;
    model.refused(1, ErrorCode::duplicate, at_byte(data_at), 2);
  }
  SECTION("no split keys") {
    model.write(2, test::tiny_gguf());
    model.refused(1, ErrorCode::missing, "", 2);
  }
}

TEST_CASE("malformed 26: shard names that leave the folder") {
  for (const std::string name : {"../a.safetensors", "/a.safetensors", "sub/a.safetensors",
                                 "a\\\\.safetensors", "a.bin", "", "..", "a\\u0000.safetensors"}) {
    index_refused(R"({"weight_map":{"x":")" + name + "\"}}", ErrorCode::malformed, "/weight_map/x");
  }
}

TEST_CASE("malformed 27: not a regular file") {
  const test::TempFolder folder;
  const auto fifo = folder.path() / "fifo.gguf";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const auto subfolder = folder.path() / "folder";
  std::filesystem::create_directory(subfolder);
  for (const std::filesystem::path& path : {fifo, std::filesystem::path("/dev/zero"), subfolder}) {
    for (const LoadMode mode : {LoadMode::map, LoadMode::copy}) {
      const Error error =
          test::expect_error([&] { ByteSource::open(path, mode); }, ErrorCode::not_a_file, "");
      CHECK(error.source() == path.string());
    }
  }
  test::expect_error([&] { Checkpoint::open(fifo); }, ErrorCode::not_a_file, "");
  test::expect_error([&] { ByteSource::open(folder.path() / "absent"); }, ErrorCode::io, "");
}

TEST_CASE("malformed 28: a file that shrinks after it was opened") {
  const test::TempFolder folder;
  const auto path = folder.write("model", std::string(10'000, 'x'));
  const auto mapped = ByteSource::open(path, LoadMode::map);
  const auto copied = ByteSource::open(path, LoadMode::copy);
  CHECK_NOTHROW(mapped->check_unchanged());
  std::filesystem::resize_file(path, 20'000);
  CHECK_NOTHROW(mapped->check_unchanged());
  std::filesystem::resize_file(path, 9'999);
  test::expect_error([&] { mapped->check_unchanged(); }, ErrorCode::truncated, "byte 9999");
  CHECK_NOTHROW(copied->check_unchanged());
  CHECK(static_cast<char>(copied->bytes().back()) == 'x');
}

TEST_CASE("malformed 49: index.json that names what is not there") {
  index_refused(R"({"weight_map":{"x":"c.safetensors"}})", ErrorCode::missing, "/weight_map/x");
  index_refused(R"({"weight_map":{"x":"b.safetensors","y":"b.safetensors"}})", ErrorCode::missing,
                "/weight_map/x");
  index_refused(R"({"weight_map":{"z/w":"a.safetensors"}})", ErrorCode::missing, "/weight_map/z~1w");
  index_refused(R"({"weight_map":{"x":"a.safetensors","x":"b.safetensors"}})", ErrorCode::duplicate,
                "/weight_map/x");
  index_refused(R"({"weight_map":{}})", ErrorCode::missing, "/weight_map");
  index_refused(R"({"weight_map":[]})", ErrorCode::wrong_type, "/weight_map");
  index_refused(R"({"weight_map":{"x":1}})", ErrorCode::wrong_type, "/weight_map/x");
  index_refused(R"({})", ErrorCode::missing, "the top level");
  index_refused(R"([])", ErrorCode::wrong_type, "the top level");
  index_refused(R"({"weight_map":)", ErrorCode::malformed, "byte 14");
}

TEST_CASE("malformed 49: a tensor in two shards") {
  const test::TempFolder folder;
  folder.write("config.json", "{}");
  const Bytes file = Bytes::safetensors(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
  folder.write("a.safetensors", file.data());
  const auto second = folder.write("b.safetensors", file.data());
  const Error error = test::expect_error([&] { Checkpoint::open(folder.path()); }, ErrorCode::duplicate,
                                         at_byte(file.size() - 1));
  CHECK(error.source() == second.string());
}

TEST_CASE("malformed: config.json") {
  const test::TempFolder folder;
  folder.write("model.safetensors", test::tiny_safetensors().data());
  const auto config = folder.path() / "config.json";
  const auto refused = [&](ErrorCode code, std::string_view position, const Limits& limits = {}) {
    const Error error =
        test::expect_error([&] { Checkpoint::open(folder.path(), LoadMode::map, limits); }, code, position);
    CHECK(error.source() == config.string());
  };
  refused(ErrorCode::missing, "");
  folder.write("config.json", "[1]");
  refused(ErrorCode::wrong_type, "the top level");
  folder.write("config.json", "{\"a\":1,}");
  refused(ErrorCode::malformed, "byte 7");
  folder.write("config.json", R"({"a":{"b":1},"a.b":2})");
  refused(ErrorCode::duplicate, "/a.b");
  folder.write("config.json", R"({"a":18446744073709551615,"b":[18446744073709551615]})");
  refused(ErrorCode::out_of_range, "/b/0");
  folder.write("config.json", "{\"" + std::string(1'025, 'k') + "\":1}");
  refused(ErrorCode::limit, "/" + std::string(1'025, 'k'));
  Limits limits;
  limits.metadata_entries = 1;
  folder.write("config.json", R"({"a":1,"b":{"c":2}})");
  refused(ErrorCode::limit, "/b/c", limits);
  limits = {};
  limits.json_bytes = test::tiny_safetensors_header.size();
  folder.write("config.json", "{" + std::string(limits.json_bytes, ' ') + "}");
  refused(ErrorCode::limit, "byte 0", limits);
}

TEST_CASE("malformed: a folder without tensors, a file of another kind") {
  const test::TempFolder folder;
  test::expect_error([&] { Checkpoint::open(folder.path()); }, ErrorCode::missing, "");
  const auto text = folder.write("notes.txt", "nothing like a model");
  test::expect_error([&] { Checkpoint::open(text); }, ErrorCode::bad_magic, "byte 0");
}
