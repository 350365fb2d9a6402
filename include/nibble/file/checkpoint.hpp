// A model's files as one thing: metadata and named tensors, whichever container they came in.
// What the file stage hands to the model stage.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/core/limits.hpp"
#include "nibble/core/tensor.hpp"
#include "nibble/core/watch.hpp"
#include "nibble/file/byte_source.hpp"
#include "nibble/file/metadata.hpp"

namespace nibble::inline v0 {

enum class Container {
  gguf,         // GGUF keys, GGUF tensor names
  safetensors,  // config.json keys, Hugging Face tensor names
};

struct Checkpoint {
  Container container = Container::gguf;
  std::string source;  // the path it was opened with
  Metadata metadata;   // GGUF: the (first) file's key-value pairs; safetensors: config.json
  std::map<std::string, Tensor, std::less<>> tensors;
  std::vector<std::shared_ptr<const ByteSource>> files;  // keep the tensors' bytes alive
  std::filesystem::path folder;                          // safetensors: where tokenizer.json lies beside it

  // Null where there is no such tensor.
  const Tensor* find(std::string_view name) const noexcept {
    const auto it = tensors.find(name);
    return it == tensors.end() ? nullptr : &it->second;
  }

  // Opens a .gguf file (a split one by its first shard), a .safetensors file with config.json beside it, a
  // model.safetensors.index.json, or a folder with config.json and *.safetensors. Every tensor's name, type,
  // shape, range and overlap is checked before this returns; nothing is allocated on the word of a file
  // alone. Errors: those of ByteSource, parse_gguf and parse_safetensors; missing (a shard, config.json, a
  // tensor the index promises), malformed (shards or an index that contradict each other, a file name that
  // leaves the folder), out_of_range (another shard than the first), duplicate (a tensor in two files),
  // limit.
  NIBBLE_API static Checkpoint open(const std::filesystem::path& path, LoadMode mode = LoadMode::map,
                                    const Limits& limits = {}, const Watch& watch = {});
};

}  // namespace nibble::inline v0
