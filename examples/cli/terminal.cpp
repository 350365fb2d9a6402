// Drawing on stderr, in colour where it is a terminal and NO_COLOR is unset.
// See terminal.hpp.
#include "terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "nibble/text/tokenizer.hpp"

namespace cli {

namespace {

constexpr double redraw_seconds = 0.1;
constexpr int bar_width = 30;

bool use_color() noexcept {
  const char* refused = std::getenv("NO_COLOR");
  return is_terminal(STDERR_FILENO) && (refused == nullptr || *refused == '\0');
}

std::string paint(std::string_view code, std::string_view text) {
  if (!use_color()) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::string_view label_of(nibble::Stage stage) {
  switch (stage) {
    case nibble::Stage::load: return "loading";
    case nibble::Stage::pack: return "packing";
    case nibble::Stage::prefill: return "reading";
  }
  return "";
}

}  // namespace

bool is_terminal(int descriptor) noexcept { return isatty(descriptor) == 1; }

double now() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void ProgressBar::show(std::string_view label, std::uint64_t done, std::uint64_t total) {
  if (!is_terminal(STDERR_FILENO) || total == 0) return;
  const double time = now();
  if (label != label_) {
    label_ = label;
    began_ = time;
    last_drawn_ = time;  // what takes less than one redraw is not worth a bar
    return;
  }
  if (done >= total) return clear();
  if (time - last_drawn_ < redraw_seconds) return;
  last_drawn_ = time;
  visible_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const int filled = static_cast<int>(share * bar_width);
  const double left = share > 0 ? (time - began_) * (1 - share) / share : 0;
  std::array<char, 160> line{};
  std::snprintf(line.data(), line.size(), "\r%-10s [%s%s] %3d %%  %.0f s left\x1b[K", label_.c_str(),
                std::string(static_cast<std::size_t>(filled), '#').c_str(),
                std::string(static_cast<std::size_t>(bar_width - filled), '.').c_str(),
                static_cast<int>(share * 100), left);
  std::cerr << line.data() << std::flush;
}

void ProgressBar::clear() {
  if (visible_) std::cerr << "\r\x1b[K" << std::flush;
  visible_ = false;
}

nibble::Progress progress_bar() {
  if (!is_terminal(STDERR_FILENO)) return {};
  return
      [bar = std::make_shared<ProgressBar>()](nibble::Stage stage, std::uint64_t done, std::uint64_t total) {
        bar->show(label_of(stage), done, total);
      };
}

void print_statistics(const Statistics& statistics) {
  std::size_t width = 0;
  for (const auto& [label, value] : statistics) width = std::max(width, label.size());
  for (const auto& [label, value] : statistics) {
    std::cerr << paint("2", label + std::string(width - label.size() + 2, ' ') + value) << '\n';
  }
}

void print_error(std::string_view message) { std::cerr << paint("1;31", "nibble: ") << message << std::endl; }

void print_note(std::string_view message) { std::cerr << paint("2", message) << std::endl; }

std::string format_number(double value, int decimals) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(units); ++unit) value /= 1000;
  return format_number(value, unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2) + " " + units[unit];
}

std::string format_rate(std::uint64_t tokens, double seconds) {
  std::string text = std::to_string(tokens) + " tokens in " + format_number(seconds, 2) + " s";
  if (seconds > 0) text += ", " + format_number(static_cast<double>(tokens) / seconds, 1) + " tokens/s";
  return text;
}

std::string shorten(std::string_view text, std::size_t length) {
  std::string shown;
  for (char c : text) {
    if (shown.size() >= length) {
      while (!shown.empty() && nibble::find_invalid_utf8(shown)) shown.pop_back();
      return shown + "…";
    }
    if (c == '\n')
      shown += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      shown += ' ';
    else
      shown += c;
  }
  return nibble::repair_utf8(shown);
}

}  // namespace cli
