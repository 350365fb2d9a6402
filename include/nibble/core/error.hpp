// The one exception type of the library: what went wrong, where, and what would have been right.
// First stop of the flow: every later stage throws this and nothing else.
#pragma once

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "nibble/core/export.hpp"

namespace nibble::inline v0 {

enum class ErrorCode {
  io,                // the operating system refused to open, map, read or write
  not_a_file,        // a FIFO, device or folder where a regular file was expected
  bad_magic,         // the file is of another kind
  unsupported,       // well-formed, but a version, type, operation or name that this build does not know
  truncated,         // the data ends before what it announces
  malformed,         // the data contradicts its own format
  duplicate,         // a key or name occurs twice
  missing,           // a required key, tensor or file is absent
  wrong_type,        // a value is of another type than its key demands
  out_of_range,      // a number outside what it may be
  shape_mismatch,    // a tensor's shape differs from what the hyperparameters demand
  limit,             // larger than the caller's Limits
  out_of_memory,     // an allocation failed, or a plan exceeds its budget
  invalid_argument,  // the caller passed something that no file is to blame for
  context_overflow,  // more positions than the context holds
  cancelled,         // a stop was requested
  state_mismatch,    // a saved state belongs to another model or engine
  no_device,         // a device is absent or cannot be used
  device_lost,       // a device failed while in use
  internal,          // a defect of the library itself
};

// The code's name as written above. Never allocates.
NIBBLE_API std::string_view to_string(ErrorCode code) noexcept;

// What an Error says; empty fields are left out of the message.
struct ErrorDetails {
  ErrorCode code = ErrorCode::internal;
  std::string source = {};    // file path, or the object that refused
  std::string position = {};  // at_byte(), at_line() or a JSON pointer
  std::string field = {};     // key, tensor, option
  std::string found = {};     // the offending value
  std::string allowed = {};   // what would have been accepted
};

// "byte 24"
NIBBLE_API std::string at_byte(unsigned long long offset);
// "line 3, column 14" (both from 1)
NIBBLE_API std::string at_line(unsigned long long line, unsigned long long column);

// Thrown for every failure. Copying never allocates; constructing one while memory is exhausted
// yields an out_of_memory error instead of a second exception.
class NIBBLE_API Error : public std::runtime_error {
 public:
  explicit Error(ErrorDetails details) noexcept;
  // An out_of_memory error that needs no memory.
  static Error out_of_memory() noexcept;

  ErrorCode code() const noexcept;
  std::string_view source() const noexcept;
  std::string_view position() const noexcept;
  std::string_view field() const noexcept;
  std::string_view found() const noexcept;
  std::string_view allowed() const noexcept;
  // One line: "<source>: <code> at <position>: <field>: found <found>, allowed <allowed>".
  const char* what() const noexcept override;

 private:
  struct Message;
  explicit Error(std::shared_ptr<const Message> message) noexcept;
  std::shared_ptr<const Message> message_;  // null: out of memory
};

// Runs `call` and turns what the standard library throws into an Error: std::bad_alloc and
// std::length_error into out_of_memory, anything else into internal. Public entry points go through it.
template <class Call>
decltype(auto) translate_errors(Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Error::out_of_memory();
  } catch (const std::length_error&) {
    throw Error::out_of_memory();
  } catch (const std::exception& e) {
    throw Error({.code = ErrorCode::internal, .found = e.what()});
  }
}

}  // namespace nibble::inline v0
