// config.json as flat metadata.
// Private to the file stage.
#pragma once

#include <filesystem>

#include "nibble/core/limits.hpp"
#include "nibble/file/metadata.hpp"

namespace nibble::inline v0 {

// {"rope_scaling": {"factor": 8.0}} becomes "rope_scaling.factor". Arrays of one scalar type become array
// values; null and every other array are left out. Errors: those of read_json, wrong_type (no object),
// duplicate (two paths to one dotted key), limit (metadata_entries; tensor_name_bytes for a key).
Metadata read_config_json(const std::filesystem::path& path, const Limits& limits);

}  // namespace nibble::inline v0
