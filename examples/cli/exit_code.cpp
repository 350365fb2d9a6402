// The table from library errors to exit codes, documented in docs/cli.md.
// See exit_code.hpp.
#include "exit_code.hpp"

namespace cli {

namespace {

using nibble::ErrorCode;

struct Row {
  ErrorCode code;
  ExitCode opening, running;
};

constexpr Row table[] = {
    {ErrorCode::io, bad_model, failure},
    {ErrorCode::not_a_file, bad_model, failure},
    {ErrorCode::bad_magic, bad_model, bad_model},
    {ErrorCode::unsupported, bad_model, usage},
    {ErrorCode::truncated, bad_model, bad_model},
    {ErrorCode::malformed, bad_model, bad_model},
    {ErrorCode::duplicate, bad_model, bad_model},
    {ErrorCode::missing, bad_model, bad_model},
    {ErrorCode::wrong_type, bad_model, bad_model},
    {ErrorCode::out_of_range, bad_model, usage},
    {ErrorCode::shape_mismatch, bad_model, bad_model},
    {ErrorCode::limit, bad_model, usage},
    {ErrorCode::out_of_memory, out_of_memory, out_of_memory},
    {ErrorCode::invalid_argument, usage, usage},
    {ErrorCode::context_overflow, context_overflow, context_overflow},
    {ErrorCode::cancelled, cancelled, cancelled},
    {ErrorCode::state_mismatch, failure, failure},
    {ErrorCode::no_device, failure, failure},
    {ErrorCode::device_lost, failure, failure},
    {ErrorCode::internal, failure, failure},
};

}  // namespace

ExitCode exit_code(ErrorCode code, Phase phase) noexcept {
  for (const Row& row : table) {
    if (row.code == code) return phase == Phase::opening ? row.opening : row.running;
  }
  return failure;
}

}  // namespace cli
