// Model files byte by byte, right or deliberately wrong.
// Used by the tests of the file stage and by the fuzz targets' seeds.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/file/byte_source.hpp"

namespace nibble::test {

// Appends little-endian fields; size() before a field is its offset.
class Bytes {
 public:
  template <class T>
  Bytes& put(T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    data_.append(raw, sizeof raw);
    return *this;
  }
  Bytes& u8(std::uint8_t v) { return put(v); }
  Bytes& u32(std::uint32_t v) { return put(v); }
  Bytes& u64(std::uint64_t v) { return put(v); }
  Bytes& raw(std::string_view text) {
    data_ += text;
    return *this;
  }
  // A GGUF string: its length, then its bytes.
  Bytes& string(std::string_view text) { return u64(text.size()).raw(text); }
  Bytes& zeros(std::size_t n) {
    data_.append(n, '\0');
    return *this;
  }
  Bytes& pad(std::size_t alignment) { return zeros((alignment - size() % alignment) % alignment); }

  std::size_t size() const { return data_.size(); }
  std::string& data() { return data_; }
  const std::string& data() const { return data_; }

  // GGUF's header, a key with its value's type, and one row of its tensor table (dims innermost first).
  static Bytes gguf(std::uint64_t n_tensors, std::uint64_t n_kv, std::uint32_t version = 3) {
    return Bytes().raw("GGUF").u32(version).u64(n_tensors).u64(n_kv);
  }
  Bytes& key(std::string_view name, std::uint32_t type) { return string(name).u32(type); }
  Bytes& tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
                std::uint64_t offset) {
    string(name).u32(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) u64(dim);
    return u32(type).u64(offset);
  }

  // A safetensors file: the header's length, the header, the data.
  static Bytes safetensors(std::string_view header, std::size_t data_bytes) {
    return Bytes().string(header).zeros(data_bytes);
  }

 private:
  std::string data_;
};

inline std::shared_ptr<const ByteSource> as_source(std::string_view bytes, std::string name = "test") {
  return ByteSource::from_bytes(std::as_bytes(std::span(bytes.data(), bytes.size())), std::move(name));
}

// A small GGUF file with a value of every type and two tensors; no byte of it can be spared.
inline Bytes tiny_gguf() {
  Bytes b = Bytes::gguf(2, 16);
  b.key("general.architecture", 8).string("llama");
  b.key("u8", 0).u8(1).key("i8", 1).u8(0xff).key("u16", 2).put<std::uint16_t>(2);
  b.key("i16", 3).put<std::int16_t>(-2).key("u32", 4).u32(3).key("i32", 5).put<std::int32_t>(-3);
  b.key("f32", 6).put(0.5f).key("bool", 7).u8(1).key("u64", 10).u64(~0ull);
  b.key("i64", 11).put<std::int64_t>(-4).key("f64", 12).put(0.25);
  b.key("strings", 9).u32(8).u64(3).string("a").string("").string("\xff");
  b.key("ints", 9).u32(5).u64(2).put<std::int32_t>(-1).put<std::int32_t>(1);
  b.key("bools", 9).u32(7).u64(2).u8(0).u8(1);
  b.key("floats", 9).u32(6).u64(1).put(1.5f);
  b.tensor("matrix", {4, 3}, 0, 0).tensor("blocks", {32}, 8, 64);
  return b.pad(32).zeros(48).zeros(16).zeros(34);
}

inline constexpr std::string_view tiny_safetensors_header =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
    R"("b":{"dtype":"BF16","shape":[],"data_offsets":[16,18]}})";

inline Bytes tiny_safetensors() { return Bytes::safetensors(tiny_safetensors_header, 18); }

}  // namespace nibble::test
