// Reading GPTQ and AWQ layers. Codes stay as they are; only their order and packing change.
// See four_bit.hpp.
#include "src/model/four_bit.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "nibble/quant/formats.hpp"
#include "nibble/quant/half.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint64_t word_codes = 8;  // 4-bit numbers in a stored word
constexpr std::uint64_t least_block = 32;

std::string key_of(std::string_view name) { return "quantization_config." + std::string(name); }

// Refuses any value of a text but those listed.
std::string one_of(const Metadata& config, std::string_view name, std::string_view absent,
                   std::initializer_list<std::string_view> allowed) {
  std::string value = config.text(key_of(name), absent);
  std::transform(value.begin(), value.end(), value.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  std::string list;
  for (const std::string_view one : allowed) list.append(list.empty() ? "" : ", ").append(one);
  throw config.error(ErrorCode::unsupported, key_of(name), "'" + value + "'", list);
}

std::uint64_t read_group_size(const Metadata& config) {
  const std::string key = key_of("group_size");
  const double size = config.number(key);
  if (size == -1) return 0;
  if (!(size >= 32 && size <= 1 << 30) || static_cast<std::uint64_t>(size) % least_block != 0) {
    throw config.error(ErrorCode::out_of_range, key, std::to_string(size), "-1 or a multiple of 32");
  }
  return static_cast<std::uint64_t>(size);
}

Error tensor_error(const Tensor& tensor, ErrorCode code, std::string found, std::string allowed) {
  return Error({.code = code,
                .source = tensor.source,
                .position = at_byte(tensor.offset),
                .field = tensor.name,
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

// Tensors of a safetensors file may be unaligned.
template <class T>
T element(const Tensor& tensor, std::uint64_t i) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + i * sizeof value, sizeof value);
  return value;
}

class Linear {
 public:
  Linear(const Checkpoint& checkpoint, const FourBit& settings, std::string_view stem)
      : checkpoint_(checkpoint), awq_(settings.method == FourBit::Method::awq), settings_(settings) {
    qweight_ = &part(stem, "qweight", Dtype::I32);
    if (qweight_->shape.rank() != 2 || qweight_->shape.elements() == 0) {
      throw tensor_error(*qweight_, ErrorCode::shape_mismatch, to_string(qweight_->shape), "a matrix");
    }
    ins_ = qweight_->shape[0] * (awq_ ? 1 : word_codes);
    outs_ = qweight_->shape[1] * (awq_ ? word_codes : 1);
    if (ins_ % least_block != 0 || outs_ % word_codes != 0) {
      throw tensor_error(*qweight_, ErrorCode::shape_mismatch, to_string(qweight_->shape),
                         "inputs a multiple of 32, outputs of 8");
    }
    const std::uint64_t group_size = settings.group_size == 0 ? ins_ : settings.group_size;
    groups_ = (ins_ + group_size - 1) / group_size;
    scales_ = &part(stem, "scales", Dtype::F16);
    check_shape(*scales_, {groups_, outs_});
    qzeros_ = &part(stem, "qzeros", Dtype::I32);
    check_shape(*qzeros_, {groups_, outs_ / word_codes});
    for (std::uint64_t i = 0; i < ins_; ++i) group_of_.push_back(static_cast<std::uint32_t>(i / group_size));
    if (!awq_ && checkpoint.find(std::string(stem) + "g_idx") != nullptr)
      read_groups(part(stem, "g_idx", Dtype::I32));
    sort_inputs();
  }

  Weight read(std::string_view name) {
    const Format& format = *find_format(all_zeros_are_8() ? "Q4_0" : is_uniform(128) ? "Z4_128" : "Z4_32");
    auto bytes = std::make_shared<std::vector<std::byte>>(outs_ * row_bytes(format, ins_));
    convert(format, bytes->data());
    Weight weight;
    weight.tensor = *qweight_;
    weight.tensor.name = name;
    weight.tensor.dtype = format.dtype;
    weight.tensor.shape = {outs_, ins_};
    weight.tensor.bytes = *bytes;
    weight.own = std::move(bytes);
    if (!std::is_sorted(order_.begin(), order_.end())) weight.order = std::move(order_);
    return weight;
  }

 private:
  const Tensor& part(std::string_view stem, std::string_view name, Dtype dtype) const {
    const std::string full = std::string(stem) + std::string(name);
    const Tensor* tensor = checkpoint_.find(full);
    if (tensor == nullptr) {
      throw Error({.code = ErrorCode::missing, .source = checkpoint_.source, .field = full});
    }
    if (tensor->dtype != dtype) {
      throw tensor_error(*tensor, ErrorCode::unsupported,
                         "type " + std::to_string(static_cast<std::uint32_t>(tensor->dtype)),
                         dtype == Dtype::F16 ? "F16" : "I32");
    }
    return *tensor;
  }

  static void check_shape(const Tensor& tensor, const Shape& expected) {
    if (tensor.shape == expected) return;
    throw tensor_error(tensor, ErrorCode::shape_mismatch, to_string(tensor.shape), to_string(expected));
  }

  void read_groups(const Tensor& g_idx) {
    check_shape(g_idx, {ins_});
    for (std::uint64_t i = 0; i < ins_; ++i) {
      const auto group = element<std::int32_t>(g_idx, i);
      if (group < 0 || static_cast<std::uint64_t>(group) >= groups_) {
        throw tensor_error(g_idx, ErrorCode::out_of_range, std::to_string(group) + " at " + std::to_string(i),
                           "0 to " + std::to_string(groups_ - 1));
      }
      group_of_[i] = static_cast<std::uint32_t>(group);
    }
  }

  // Group by group, inputs of each in their own order.
  void sort_inputs() {
    order_.resize(ins_);
    std::iota(order_.begin(), order_.end(), 0u);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return group_of_[a] < group_of_[b]; });
    if (!is_uniform(least_block)) {
      throw tensor_error(*qweight_, ErrorCode::unsupported, "groups that end inside 32 inputs",
                         "groups of whole multiples of 32 inputs");
    }
  }

  // Whether every `n` inputs, as sorted, are of one group.
  bool is_uniform(std::uint64_t n) const {
    if (ins_ % n != 0) return false;
    for (std::uint64_t k = 0; k < ins_; ++k) {
      if (group_of_[order_[k]] != group_of_[order_[k / n * n]]) return false;
    }
    return true;
  }

  // Where in its word AWQ keeps the j-th of eight outputs.
  static constexpr std::array<unsigned, word_codes> awq_nibble = {0, 4, 1, 5, 2, 6, 3, 7};

  std::uint32_t along_outputs(const Tensor& words, std::uint64_t row, std::uint64_t out) const {
    const std::uint64_t j = out % word_codes;
    return element<std::uint32_t>(words, (row * outs_ + out) / word_codes) >> 4 * (awq_ ? awq_nibble[j] : j) &
           15;
  }
  std::uint32_t code(std::uint64_t in, std::uint64_t out) const {
    if (awq_) return along_outputs(*qweight_, in, out);
    return element<std::uint32_t>(*qweight_, in / word_codes * outs_ + out) >> 4 * (in % word_codes) & 15;
  }
  std::uint32_t zero(std::uint64_t group, std::uint64_t out) const {
    return along_outputs(*qzeros_, group, out) + settings_.zero_offset;
  }

  bool all_zeros_are_8() const {
    const std::uint32_t expected = (8 - settings_.zero_offset) * 0x11111111u;
    for (std::uint64_t i = 0; i < qzeros_->shape.elements(); ++i) {
      if (element<std::uint32_t>(*qzeros_, i) != expected) return false;
    }
    return true;
  }

  // Scale and zero of a block. 16, which is one more than a min holds, is 8 twice.
  void set_line(BlockParts& parts, std::uint64_t group, std::uint64_t out) const {
    const std::uint32_t zero_point = zero(group, out);
    const bool twice = zero_point == 16;
    parts.d = element<std::uint16_t>(*scales_, group * outs_ + out);
    parts.m = twice ? f32_to_f16(2 * f16_to_f32(parts.d)) : parts.d;
    std::fill(std::begin(parts.scale), std::end(parts.scale), std::uint8_t{1});
    std::fill(std::begin(parts.min), std::end(parts.min), static_cast<std::uint8_t>(twice ? 8 : zero_point));
  }

  // Some outputs at a time: words are read along them, blocks written across.
  void convert(const Format& format, std::byte* bytes) const {
    constexpr std::uint64_t tile = 64;
    const std::uint64_t n = format.block_size, row = row_bytes(format, ins_);
    std::vector<BlockParts> parts(std::min(tile, outs_));
    for (std::uint64_t first = 0; first < outs_; first += tile) {
      const std::uint64_t rows = std::min(tile, outs_ - first);
      for (std::uint64_t begin = 0; begin < ins_; begin += n) {
        for (std::uint64_t k = 0; k < n; ++k) {
          for (std::uint64_t r = 0; r < rows; ++r)
            parts[r].code[k] = static_cast<std::uint8_t>(code(order_[begin + k], first + r));
        }
        for (std::uint64_t r = 0; r < rows; ++r) {
          set_line(parts[r], group_of_[order_[begin]], first + r);
          format.join(parts[r], bytes + (first + r) * row + begin / n * format.block_bytes);
        }
      }
    }
  }

  const Checkpoint& checkpoint_;
  const bool awq_;
  const FourBit settings_;
  const Tensor *qweight_, *scales_, *qzeros_;
  std::uint64_t ins_, outs_, groups_;
  std::vector<std::uint32_t> group_of_;  // (ins)
  std::vector<std::uint32_t> order_;     // (ins): column k of the matrix is of input order[k]
};

}  // namespace

FourBit read_four_bit(const Metadata& config) {
  FourBit settings;
  if (!config.has(key_of("quant_method"))) return settings;
  const std::string method = one_of(config, "quant_method", "", {"gptq", "awq", "mxfp4"});
  if (method == "mxfp4") return settings;  // stored as blocks of its own, not as such layers
  if (const std::uint64_t bits = config.count(key_of("bits")); bits != 4) {
    throw config.error(ErrorCode::unsupported, key_of("bits"), std::to_string(bits), "4");
  }
  settings.group_size = read_group_size(config);
  if (method == "awq") {
    settings.method = FourBit::Method::awq;
    one_of(config, "version", "gemm", {"gemm"});
    if (!config.flag(key_of("zero_point"), true)) {
      throw config.error(ErrorCode::unsupported, key_of("zero_point"), "false", "true");
    }
    return settings;
  }
  settings.method = FourBit::Method::gptq;
  // The first layout stores a zero less one.
  settings.zero_offset = one_of(config, "checkpoint_format", "gptq", {"gptq", "gptq_v2"}) == "gptq" ? 1 : 0;
  return settings;
}

std::optional<Weight> find_four_bit(const Checkpoint& checkpoint, const FourBit& settings,
                                    std::string_view name) {
  constexpr std::string_view suffix = "weight";
  if (settings.method == FourBit::Method::none || !name.ends_with(suffix)) return std::nullopt;
  const std::string stem(name.substr(0, name.size() - suffix.size()));
  if (checkpoint.find(stem + "qweight") == nullptr) return std::nullopt;
  return Linear(checkpoint, settings, stem).read(name);
}

}  // namespace nibble::inline v0
