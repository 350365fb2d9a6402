// What the program shows to a person on stderr: a progress bar, statistics, errors, notes.
// stdout carries answers only and is never touched here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nibble/core/watch.hpp"

namespace cli {

bool is_terminal(int descriptor) noexcept;

// One line that is redrawn at most ten times a second and gone when it is done; silent where stderr is not a
// terminal.
class ProgressBar {
 public:
  ProgressBar() = default;
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  void show(std::string_view label, std::uint64_t done, std::uint64_t total);
  void clear();

 private:
  double last_drawn_ = -1;  // seconds
  double began_ = 0;
  std::string label_;
  bool visible_ = false;
};

// A bar for the library's own stages; empty where stderr is not a terminal.
nibble::Progress progress_bar();

// Aligned "label  value" lines.
using Statistics = std::vector<std::pair<std::string, std::string>>;
void print_statistics(const Statistics& statistics);

void print_error(std::string_view message);
void print_note(std::string_view message);

// Seconds on a clock that never goes back.
double now() noexcept;

std::string format_bytes(std::uint64_t bytes);                  // "1.25 GB" (powers of 1000)
std::string format_number(double value, int decimals);          // "3.14"
std::string format_rate(std::uint64_t tokens, double seconds);  // "12 tokens in 0.50 s, 24.0 tokens/s"
std::string shorten(std::string_view text,
                    std::size_t length);  // escapes control bytes, ends in "…" where cut

}  // namespace cli
