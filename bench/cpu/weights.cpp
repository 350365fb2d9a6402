// Rows of random numbers, encoded.
// See weights.hpp.
#include "bench/cpu/weights.hpp"

#include <cstring>
#include <random>

namespace bench {

std::string describe(const nibble::Format& format, const MatrixShape& shape) {
  return std::string(format.name) + '/' + std::to_string(shape.rows) + 'x' + std::to_string(shape.cols);
}

std::vector<std::byte> make_file_bytes(const nibble::Format& format, const MatrixShape& shape) {
  std::minstd_rand random(1);
  std::normal_distribution<float> normal;
  std::vector<float> row(shape.cols);
  for (float& value : row) value = normal(random);
  const std::size_t row_bytes = nibble::row_bytes(format, shape.cols);
  std::vector<std::byte> bytes(shape.rows * row_bytes);
  format.encode(row.data(), bytes.data(), shape.cols, nullptr);
  for (std::size_t r = 1; r < shape.rows; ++r)
    std::memcpy(bytes.data() + r * row_bytes, bytes.data(), row_bytes);
  return bytes;
}

}  // namespace bench
