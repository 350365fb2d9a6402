// Flattening config.json.
// Private to the file stage: beside safetensors, where GGUF has its own metadata.
#include "src/file/config_json.hpp"

#include <algorithm>

#include "src/file/json.hpp"

namespace nibble::inline v0 {

namespace {

bool all_are(Json array, Json::Kind kind) {
  return std::all_of(array.begin(), array.end(), [&](Json element) { return element.is(kind); });
}

template <class T, class Read>
std::vector<T> collect(Json array, Read read) {
  std::vector<T> values;
  for (const Json element : array) values.emplace_back((element.*read)());
  return values;
}

std::optional<Value> array_value(Json array) {
  using Kind = Json::Kind;
  if (all_are(array, Kind::string)) return collect<std::string>(array, &Json::string);
  if (all_are(array, Kind::boolean)) return collect<bool>(array, &Json::boolean);
  if (all_are(array, Kind::integer)) return collect<std::int64_t>(array, &Json::integer);
  const auto is_number = [](Json e) { return e.is(Kind::number) || e.is(Kind::integer); };
  if (std::all_of(array.begin(), array.end(), is_number)) return collect<double>(array, &Json::number);
  return std::nullopt;
}

std::optional<Value> scalar_value(Json value) {
  switch (value.kind()) {
    case Json::Kind::boolean: return value.boolean();
    case Json::Kind::number: return value.number();
    case Json::Kind::string: return std::string(value.string());
    case Json::Kind::array: return array_value(value);
    case Json::Kind::integer: {
      if (value.is_above_int64()) return value.count();
      return value.integer();
    }
    case Json::Kind::null:
    case Json::Kind::object: break;
  }
  return std::nullopt;
}

// Nesting is bounded by Limits::json_depth.
void flatten(Json object, const std::string& prefix, const Limits& limits, Metadata& metadata) {
  for (const Json member : object) {
    std::string key = prefix + std::string(member.key());
    if (key.size() > limits.tensor_name_bytes) {
      throw member.error(ErrorCode::limit, "a path of " + std::to_string(key.size()) + " bytes",
                         "at most " + std::to_string(limits.tensor_name_bytes));
    }
    if (member.is(Json::Kind::object)) {
      flatten(member, key + ".", limits, metadata);
    } else if (auto value = scalar_value(member)) {
      if (metadata.entries().size() == limits.metadata_entries) {
        throw member.error(ErrorCode::limit, "one more key",
                           "at most " + std::to_string(limits.metadata_entries));
      }
      metadata.add(std::move(key), *std::move(value), member.pointer());
    }
  }
}

}  // namespace

Metadata read_config_json(const std::filesystem::path& path, const Limits& limits) {
  const JsonDocument document = read_json(path, limits);
  const Json root = document.root();
  if (!root.is(Json::Kind::object)) {
    throw root.error(ErrorCode::wrong_type, root.describe(), "an object");
  }
  Metadata metadata(path.string());
  flatten(root, "", limits, metadata);
  return metadata;
}

}  // namespace nibble::inline v0
