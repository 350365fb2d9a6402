// Opening a model's files: one or many, of either container, as one checkpoint.
// End of the file stage.
#include "nibble/file/checkpoint.hpp"

#include <algorithm>
#include <set>

#include "nibble/file/gguf.hpp"
#include "nibble/file/safetensors.hpp"
#include "src/file/config_json.hpp"
#include "src/file/in_quotes.hpp"
#include "src/file/json.hpp"

namespace nibble::inline v0 {

namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code unknown;
  return fs::exists(path, unknown);
}

Error missing_file(const fs::path& path, std::string allowed) {
  return Error({.code = ErrorCode::missing,
                .source = path.string(),
                .field = "file",
                .found = "no such file",
                .allowed = std::move(allowed)});
}

class CheckpointOpener {
 public:
  CheckpointOpener(const fs::path& path, LoadMode mode, const Limits& limits, const Watch& watch)
      : path_(path), mode_(mode), limits_(limits), watch_(watch) {
    result_.source = path.string();
  }

  Checkpoint open() {
    std::error_code unknown;
    if (fs::is_directory(path_, unknown)) {
      open_folder();
    } else if (path_.extension() == ".json") {
      open_index(path_);
    } else if (path_.extension() == ".safetensors") {
      open_safetensors({path_});
    } else {
      open_gguf();
    }
    return std::move(result_);
  }

 private:
  const ByteSource& load(const fs::path& path) {
    if (watch_.stop.stop_requested()) throw Error({.code = ErrorCode::cancelled, .source = path.string()});
    result_.files.push_back(ByteSource::open(path, mode_, watch_));
    return *result_.files.back();
  }

  // Names are unique over all files of a model.
  void add_tensors(std::vector<Tensor> tensors) {
    for (Tensor& tensor : tensors) {
      const auto [it, added] = result_.tensors.try_emplace(tensor.name);
      if (!added) {
        throw Error({.code = ErrorCode::duplicate,
                     .source = tensor.source,
                     .position = at_byte(tensor.offset),
                     .field = tensor.name,
                     .found = "a tensor that " + it->second.source + " holds too",
                     .allowed = "each name once"});
      }
      it->second = std::move(tensor);
    }
    if (result_.tensors.size() > limits_.tensors) {
      throw Error({.code = ErrorCode::limit,
                   .source = result_.source,
                   .field = "tensors",
                   .found = std::to_string(result_.tensors.size()),
                   .allowed = "at most " + std::to_string(limits_.tensors)});
    }
  }

  void open_gguf() {
    result_.container = Container::gguf;
    Gguf first = parse_gguf(load(path_), limits_);
    result_.metadata = std::move(first.metadata);
    add_tensors(std::move(first.tensors));
    const std::uint64_t n_shards = result_.metadata.count("split.count", 1);
    if (n_shards > 1) open_shards(n_shards);
  }

  // "<prefix>-00001-of-00003.gguf" is shard 0 of 3; metadata other than split.* only counts there.
  void open_shards(std::uint64_t n_shards) {
    const Metadata& metadata = result_.metadata;
    if (n_shards > limits_.shards) {
      throw metadata.error(ErrorCode::limit, "split.count", std::to_string(n_shards),
                           "at most " + std::to_string(limits_.shards));
    }
    if (const std::uint64_t number = metadata.count("split.no"); number != 0) {
      throw metadata.error(ErrorCode::out_of_range, "split.no", std::to_string(number),
                           "0: a split model is opened by its first file");
    }
    const std::string name = path_.filename().string();
    const std::string suffix = shard_suffix(0, n_shards);
    if (!name.ends_with(suffix)) {
      throw metadata.error(ErrorCode::malformed, "split.count", "file name " + in_quotes(name),
                           "a name that ends in " + suffix);
    }
    const std::string prefix = name.substr(0, name.size() - suffix.size());
    for (std::uint64_t i = 1; i < n_shards; ++i) {
      const fs::path path = path_.parent_path() / (prefix + shard_suffix(i, n_shards));
      if (!is_there(path)) throw missing_file(path, "shard " + std::to_string(i + 1) + " of the model");
      Gguf shard = parse_gguf(load(path), limits_);
      check_equal(shard.metadata, "split.no", i);
      check_equal(shard.metadata, "split.count", n_shards);
      add_tensors(std::move(shard.tensors));
    }
    if (metadata.has("split.tensors.count")) {
      check_equal(metadata, "split.tensors.count", result_.tensors.size());
    }
  }

  static std::string shard_suffix(std::uint64_t number, std::uint64_t count) {
    std::string suffix;
    for (const std::uint64_t n : {number + 1, count}) {
      const std::string digits = std::to_string(n);
      suffix += suffix.empty() ? "-" : "-of-";
      suffix.append(digits.size() < 5 ? 5 - digits.size() : 0, '0');
      suffix += digits;
    }
    return suffix + ".gguf";
  }

  static void check_equal(const Metadata& metadata, std::string_view key, std::uint64_t expected) {
    const std::uint64_t found = metadata.count(key);
    if (found != expected) {
      throw metadata.error(ErrorCode::malformed, key, std::to_string(found), std::to_string(expected));
    }
  }

  void open_folder() {
    const fs::path index = path_ / "model.safetensors.index.json";
    const fs::path single = path_ / "model.safetensors";
    if (is_there(index)) return open_index(index);
    if (is_there(single)) return open_safetensors({single});
    std::vector<fs::path> files;
    std::error_code failed;
    for (fs::directory_iterator it(path_, failed), end; !failed && it != end; it.increment(failed)) {
      if (it->path().extension() == ".safetensors") files.push_back(it->path());
    }
    if (failed) {
      throw Error(
          {.code = ErrorCode::io, .source = path_.string(), .field = "list", .found = failed.message()});
    }
    if (files.empty()) throw missing_file(single, "a folder with *.safetensors and config.json");
    std::sort(files.begin(), files.end());
    open_safetensors(files);
  }

  void open_safetensors(const std::vector<fs::path>& files) {
    result_.container = Container::safetensors;
    result_.folder = files.front().parent_path();
    if (files.size() > limits_.shards) {
      throw Error({.code = ErrorCode::limit,
                   .source = result_.source,
                   .field = "files",
                   .found = std::to_string(files.size()),
                   .allowed = "at most " + std::to_string(limits_.shards)});
    }
    // The tensors first: a path that does not exist should be named itself.
    for (const fs::path& file : files) add_tensors(parse_safetensors(load(file), limits_));
    const fs::path config = result_.folder / "config.json";
    if (!is_there(config)) throw missing_file(config, "config.json beside the tensors");
    result_.metadata = read_config_json(config, limits_);
    const fs::path quantize = result_.folder / "quantize_config.json";
    if (!result_.metadata.has("quantization_config.quant_method") && is_there(quantize))
      add_quantization(quantize);
  }

  // Older GPTQ folders describe their quantisation beside config.json.
  void add_quantization(const fs::path& path) {
    const Metadata older = read_config_json(path, limits_);
    if (!older.has("quant_method"))
      result_.metadata.set("quantization_config.quant_method", std::string("gptq"));
    for (const auto& [key, entry] : older.entries()) {
      result_.metadata.add("quantization_config." + key, entry.value,
                           path.filename().string() + entry.position);
    }
  }

  // {"weight_map": {tensor name: file name}}; the file names are another's word and stay in the folder.
  void open_index(const fs::path& index) {
    const JsonDocument document = read_json(index, limits_);
    const Json map = document.root().at("weight_map");
    if (!map.is(Json::Kind::object)) throw map.error(ErrorCode::wrong_type, map.describe(), "an object");
    std::set<fs::path> files;
    for (const Json entry : map) {
      const std::string_view name = entry.string();
      const fs::path path = index.parent_path() / fs::path(name);
      if (!name.ends_with(".safetensors") || name.find_first_of(std::string_view("/\\\0", 3)) != name.npos) {
        throw entry.error(ErrorCode::malformed, in_quotes(name), "the name of a .safetensors file beside it");
      }
      if (files.insert(path).second && !is_there(path)) {
        throw entry.error(ErrorCode::missing, in_quotes(name), "a file beside the index");
      }
    }
    if (files.empty()) throw map.error(ErrorCode::missing, "no tensor", "at least one");
    open_safetensors({files.begin(), files.end()});
    for (const Json entry : map) check_entry(entry, index);
  }

  void check_entry(Json entry, const fs::path& index) const {
    const Tensor* tensor = result_.find(entry.key());
    if (!tensor || tensor->source != (index.parent_path() / fs::path(entry.string())).string()) {
      throw entry.error(ErrorCode::missing, "no such tensor in " + in_quotes(entry.string()),
                        "the file that holds it");
    }
  }

  const fs::path& path_;
  LoadMode mode_;
  const Limits& limits_;
  const Watch& watch_;
  Checkpoint result_;
};

}  // namespace

Checkpoint Checkpoint::open(const fs::path& path, LoadMode mode, const Limits& limits, const Watch& watch) {
  return translate_errors([&] { return CheckpointOpener(path, mode, limits, watch).open(); });
}

}  // namespace nibble::inline v0
