// nibble quantize: a model as GGUF with its matrices in another format, mixed as published files are.
// Tensor by tensor: decoded and encoded in parallel, written as it goes, renamed when complete.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <vector>

#include "command.hpp"
#include "mixes.hpp"
#include "nibble/file/gguf.hpp"
#include "nibble/file/importance.hpp"
#include "nibble/quant/formats.hpp"
#include "output_file.hpp"
#include "parallel.hpp"
#include "source_model.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

constexpr std::size_t part_elements = std::size_t{1} << 16;
constexpr std::int64_t quantization_version = 2;

struct Arguments {
  std::string in, out, type, importance;
  std::uint32_t threads = 0;
};

// One tensor's way from its format in the file to the one it is written in.
struct Conversion {
  const SourceTensor* source;
  const nibble::Format* from;
  const nibble::Format* to;
  const std::vector<float>* importance;  // (experts, cols); null: all matter alike
};

nibble::Error tensor_error(const nibble::Tensor& tensor, nibble::ErrorCode code, std::string position,
                           std::string found, std::string allowed) {
  return nibble::Error({.code = code,
                        .source = tensor.source,
                        .position = std::move(position),
                        .field = tensor.name,
                        .found = std::move(found),
                        .allowed = std::move(allowed)});
}

void check_finite(const nibble::Tensor& tensor, std::size_t first, const std::vector<float>& values,
                  std::size_t n) {
  const auto end = values.begin() + static_cast<std::ptrdiff_t>(n);
  const auto bad = std::find_if(values.begin(), end, [](float value) { return !std::isfinite(value); });
  if (bad == end) return;
  const std::size_t element = first + static_cast<std::size_t>(bad - values.begin());
  throw tensor_error(tensor, nibble::ErrorCode::malformed, "element " + std::to_string(element),
                     std::isnan(*bad) ? "NaN" : "infinity", "finite weights");
}

// Column k of each row goes where input order[k] is.
void put_in_order(const std::vector<std::uint32_t>& order, std::vector<float>& values) {
  std::vector<float> stored(order.size());
  for (std::size_t row = 0; row < values.size(); row += order.size()) {
    std::copy_n(values.data() + row, order.size(), stored.data());
    for (std::size_t k = 0; k < order.size(); ++k) values[row + order[k]] = stored[k];
  }
}

// Rows [begin, end) of a part, through floats.
void convert_rows(const Conversion& conversion, std::size_t part, std::size_t begin, std::size_t end,
                  std::span<std::byte> out) {
  const nibble::Tensor& tensor = *conversion.source->parts[part];
  const std::vector<std::uint32_t>* order = conversion.source->order;
  const std::size_t cols = tensor.shape.cols();
  const std::size_t from_bytes = nibble::row_bytes(*conversion.from, cols);
  const std::size_t to_bytes = nibble::row_bytes(*conversion.to, cols);
  std::vector<float> values((end - begin) * cols);
  conversion.from->decode(tensor.bytes.data() + begin * from_bytes, values.data(), values.size());
  check_finite(tensor, begin * cols, values, values.size());
  if (conversion.from->dtype == conversion.to->dtype && order == nullptr) {
    std::copy_n(tensor.bytes.data() + begin * from_bytes, (end - begin) * from_bytes,
                out.data() + begin * to_bytes);
    return;
  }
  if (order != nullptr) put_in_order(*order, values);
  if (conversion.importance == nullptr) {
    conversion.to->encode(values.data(), out.data() + begin * to_bytes, values.size(), nullptr);
    return;
  }
  // One set for each expert, be they parts or stacked in one.
  const std::size_t experts = conversion.importance->size() / cols / conversion.source->parts.size();
  const float* of_part = conversion.importance->data() + part * experts * cols;
  for (std::size_t row = begin; row < end; ++row) {
    conversion.to->encode(values.data() + (row - begin) * cols, out.data() + row * to_bytes, cols,
                          of_part + row / (tensor.shape.rows() / experts) * cols);
  }
}

void convert(const Conversion& conversion, std::uint32_t threads, const std::stop_token& stop,
             std::span<std::byte> out) {
  const std::size_t n_parts = conversion.source->parts.size(), bytes = out.size() / n_parts;
  for (std::size_t part = 0; part < n_parts; ++part) {
    const nibble::Shape& shape = conversion.source->parts[part]->shape;
    const std::size_t step = std::max<std::size_t>(1, part_elements / std::max<std::size_t>(1, shape.cols()));
    for_each_part((shape.rows() + step - 1) / step, threads, stop, [&](std::size_t i) {
      convert_rows(conversion, part, i * step, std::min<std::size_t>(shape.rows(), (i + 1) * step),
                   out.subspan(part * bytes, bytes));
    });
  }
}

// Null where there are none for this tensor.
const std::vector<float>* find_importance(const nibble::Importance& all, const SourceTensor& source) {
  const auto found = all.find(source.name);
  if (found == all.end()) return nullptr;
  const std::size_t inputs = (source.shape.rank() > 2 ? source.shape[0] : 1) * source.shape.cols();
  if (found->second.size() == inputs) return &found->second;
  throw Failure(failure, "--imatrix: " + source.name + ": " + std::to_string(found->second.size()) +
                             " weights, where the matrix has " + std::to_string(inputs) + " inputs");
}

std::vector<Conversion> plan_conversions(const SourceModel& model, const Mix& mix,
                                         const nibble::Importance& importance) {
  const auto is_output = [](const SourceTensor& source) { return source.name == "output.weight"; };
  ModelFacts facts = read_facts(model.metadata);
  facts.tied = std::none_of(model.tensors.begin(), model.tensors.end(), is_output);
  facts.importance = !importance.empty();
  std::vector<Conversion> conversions;
  for (const SourceTensor& source : model.tensors) {
    const nibble::Tensor& first = *source.parts[0];
    const nibble::Format* from = nibble::find_format(first.dtype);
    if (from == nullptr) {
      throw tensor_error(first, nibble::ErrorCode::malformed, nibble::at_byte(first.offset),
                         "type " + std::to_string(static_cast<std::uint32_t>(first.dtype)),
                         "a format this build decodes");
    }
    conversions.push_back({&source, from, &choose_format(mix, facts, source.name, source.shape),
                           find_importance(importance, source)});
  }
  return conversions;
}

nibble::Metadata output_metadata(const nibble::Metadata& in, const Mix& mix) {
  nibble::Metadata out = in;
  out.set("general.file_type", std::int64_t{file_type(mix)});
  out.set("general.quantization_version", quantization_version);
  return out;
}

// Gives the file's pages back once a tensor is done, if it lies in one.
void release(const nibble::Checkpoint& checkpoint, const nibble::Tensor& tensor) {
  for (const auto& file : checkpoint.files) {
    const bool in_file = file->name() == tensor.source && file->bytes().size() > tensor.offset &&
                         file->bytes().data() + tensor.offset == tensor.bytes.data();
    if (in_file) file->release(tensor.bytes);
  }
}

std::uint64_t input_bytes(const Conversion& conversion) {
  std::uint64_t bytes = 0;
  for (const nibble::Tensor* part : conversion.source->parts) bytes += part->bytes.size();
  return bytes;
}

nibble::Importance read_importance(const std::string& path) {
  if (path.empty()) return {};
  return opening([&] { return nibble::read_importance(*nibble::ByteSource::open(path)); });
}

std::uint64_t output_bytes(const Conversion& conversion) {
  const nibble::Shape& shape = conversion.source->shape;
  return shape.rows() * nibble::row_bytes(*conversion.to, shape.cols());
}

ExitCode quantize(const Arguments& arguments, const std::stop_token& stop) {
  const Mix& mix = find_mix(arguments.type);
  check_output_path(arguments.out);
  const nibble::Importance importance = read_importance(arguments.importance);
  const SourceModel model = open_source(arguments.in, stop);
  const std::vector<Conversion> conversions =
      opening([&] { return plan_conversions(model, mix, importance); });

  std::uint64_t total_in = 0, total_out = 0, done = 0;
  for (const Conversion& conversion : conversions) {
    total_in += input_bytes(conversion);
    total_out += output_bytes(conversion);
  }
  ProgressBar bar;
  std::vector<nibble::GgufTensor> tensors = model.made;
  for (const Conversion& conversion : conversions) {
    tensors.push_back({conversion.source->name, conversion.to->dtype, conversion.source->shape,
                       [&, conversion](std::span<std::byte> out) {
                         convert(conversion, arguments.threads, stop, out);
                         for (const nibble::Tensor* part : conversion.source->parts)
                           release(model.checkpoint, *part);
                         done += input_bytes(conversion);
                         bar.show("quantising", done, total_in);
                       }});
  }
  const double began = now();
  nibble::Watch watch;
  watch.stop = stop;
  nibble::write_gguf(arguments.out, output_metadata(model.metadata, mix), tensors, watch);
  bar.clear();
  print_statistics({{"tensors", std::to_string(tensors.size())},
                    {"size", format_bytes(total_in) + " to " + format_bytes(total_out)},
                    {"time", format_number(now() - began, 2) + " s"}});
  return ok;
}

}  // namespace

void add_quantize(CLI::App& app, Action& action) {
  CLI::App& command =
      *app.add_subcommand("quantize", "Write a model as GGUF, in another format")->group("Make a model");
  auto arguments = std::make_shared<Arguments>();
  command.add_option("in", arguments->in, "A .gguf file, or a Hugging Face folder")
      ->type_name("IN")
      ->required();
  command.add_option("out", arguments->out, "The .gguf file to write")->type_name("OUT")->required();
  command.add_option("--type", arguments->type, "One of " + mix_names())->type_name("TYPE")->required();
  command.add_option("--imatrix", arguments->importance, "Which inputs matter: a file of llama-imatrix")
      ->type_name("FILE");
  command.add_option("-t,--threads", arguments->threads, "Threads (default: one per CPU)")->type_name("N");
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token& stop) { return quantize(*arguments, stop); };
  });
}

}  // namespace cli
