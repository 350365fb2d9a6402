// nibble inspect: what is in a model file, and what would become of it here.
// Metadata and tensors of any file that opens; kernels and memory where its architecture can run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <variant>

#include "command.hpp"
#include "memory_plan.hpp"
#include "nibble/file/safetensors.hpp"
#include "nibble/quant/formats.hpp"
#include "run_options.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t shown_elements = 5;  // of a long array

struct Arguments {
  RunOptions run;
  bool json = false;
  bool full = false;
};

// How a model would run here, or why it would not.
struct Running {
  std::optional<nibble::Model> model;
  MemoryPlan plan;
  std::optional<nibble::Error> refusal;
  // Where the weights begin in their files: a folder's have other names there.
  std::multimap<std::pair<std::string_view, std::uint64_t>, nibble::WeightId> places;
};

Running plan_running(const RunOptions& run) {
  Running running;
  try {
    running.model = nibble::Model::open(run.model);
  } catch (const nibble::Error& error) {
    running.refusal = error;
    return running;
  }
  running.plan = plan_memory(*running.model, run.engine);
  const nibble::Weights& weights = running.model->weights();
  for (nibble::WeightId id = 0; id < weights.size(); ++id)
    running.places.insert({{weights[id].tensor.source, weights[id].tensor.offset}, id});
  return running;
}

// Of a tensor that holds several weights (experts, gate and up), all of them together.
std::optional<nibble::WeightPlacement> placement(const Running& running, const nibble::Tensor& tensor) {
  const auto first = running.places.lower_bound({tensor.source, tensor.offset});
  const auto last = running.places.lower_bound({tensor.source, tensor.offset + tensor.bytes.size()});
  if (first == last) return {};
  nibble::WeightPlacement found = running.plan.engine.placements[first->second];
  for (auto next = std::next(first); next != last; ++next)
    found.bytes += running.plan.engine.placements[next->second].bytes;
  return found;
}

std::string format_name(nibble::Dtype dtype) {
  const nibble::Format* format = nibble::find_format(dtype);
  if (format != nullptr) return std::string(format->name);
  const std::string_view name = nibble::safetensors_name(dtype);
  return name.empty() ? "type " + std::to_string(static_cast<std::uint32_t>(dtype)) : std::string(name);
}

// What the format packs into on tiers that have kernels for it.
std::string_view family_name(nibble::Dtype dtype) {
  const nibble::Format* format = nibble::find_format(dtype);
  if (format == nullptr) return "-";
  switch (format->family) {
    case nibble::Family::codes4: return "codes4";
    case nibble::Family::codes4_high: return "codes4_high";
    case nibble::Family::codes2: return "codes2";
    case nibble::Family::codes8: return "codes8";
    case nibble::Family::float16: return "float16";
    case nibble::Family::float32: return "float32";
  }
  return "-";
}

// Arrays keep their first elements unless `full`.
Json value_json(const nibble::Value& value, bool full) {
  Json out = std::visit([](const auto& held) { return Json(held); }, value);
  if (!out.is_array() || full || out.size() <= shown_elements) return out;
  const std::size_t length = out.size();
  out.erase(out.begin() + static_cast<std::ptrdiff_t>(shown_elements), out.end());
  return {{"type", nibble::type_name(value)}, {"length", length}, {"first", out}};
}

std::string value_text(const nibble::Value& value, bool full) {
  const auto dump = [](const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  const Json json = value_json(value, full);
  if (full) return dump(json);
  if (json.is_string()) return shorten(std::get<std::string>(value), 80);
  if (!json.is_object()) return dump(json);
  return shorten(dump(json["first"]), 80) + " and so on, " + dump(json["length"]) + " in all";
}

std::vector<const nibble::Tensor*> in_file_order(const nibble::Checkpoint& checkpoint) {
  std::vector<const nibble::Tensor*> tensors;
  for (const auto& [name, tensor] : checkpoint.tensors) tensors.push_back(&tensor);
  std::stable_sort(tensors.begin(), tensors.end(), [](const nibble::Tensor* a, const nibble::Tensor* b) {
    return std::pair(a->source, a->offset) < std::pair(b->source, b->offset);
  });
  return tensors;
}

struct Totals {
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  double bits_per_weight() const {
    return elements == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(elements);
  }
};

Totals totals_of(const nibble::Checkpoint& checkpoint) {
  Totals totals;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    totals.elements += tensor.shape.elements();
    totals.bytes += tensor.bytes.size();
  }
  return totals;
}

Json tensor_json(const nibble::Tensor& tensor, const Running& running) {
  Json out = {{"name", tensor.name},
              {"shape", Json::array()},
              {"format", format_name(tensor.dtype)},
              {"family", family_name(tensor.dtype)},
              {"bytes", tensor.bytes.size()}};
  for (std::size_t i = 0; i < tensor.shape.rank(); ++i) out["shape"].push_back(tensor.shape[i]);
  if (const auto place = placement(running, tensor)) {
    out["kernel"] = place->kernel;
    out["packed_bytes"] = place->bytes;
    out["in_place"] = place->in_place;
  }
  return out;
}

void print_json(const nibble::Checkpoint& checkpoint, const Running& running, bool full) {
  const Totals totals = totals_of(checkpoint);
  Json out = {{"source", checkpoint.source},
              {"container", checkpoint.container == nibble::Container::gguf ? "gguf" : "safetensors"},
              {"metadata", Json::object()},
              {"tensors", Json::array()},
              {"totals",
               {{"tensors", checkpoint.tensors.size()},
                {"elements", totals.elements},
                {"bytes", totals.bytes},
                {"bits_per_weight", totals.bits_per_weight()}}}};
  for (const auto& [key, entry] : checkpoint.metadata.entries()) {
    out["metadata"][key] = value_json(entry.value, full);
  }
  for (const nibble::Tensor* tensor : in_file_order(checkpoint)) {
    out["tensors"].push_back(tensor_json(*tensor, running));
  }
  if (running.refusal) {
    out["refusal"] = running.refusal->what();
  } else {
    out["memory"] = to_json(running.plan);
  }
  std::cout << out.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

// Of scales, zeros and orders that GPTQ, AWQ and gpt-oss keep beside codes: the end of the codes' name.
std::string_view codes_beside(const nibble::Tensor& tensor, const nibble::Checkpoint& checkpoint) {
  constexpr std::pair<std::string_view, std::string_view> ends[] = {
      {"scales", "qweight"}, {"qzeros", "qweight"}, {"g_idx", "qweight"}, {"scales", "blocks"}};
  const std::string_view name = tensor.name;
  for (const auto& [end, codes] : ends) {
    if (!name.ends_with(end)) continue;
    const std::string stem(name.substr(0, name.size() - end.size()));
    if (checkpoint.find(stem + std::string(codes)) != nullptr) return codes;
  }
  return {};
}

std::string placement_text(const nibble::Tensor& tensor, const nibble::Checkpoint& checkpoint,
                           const Running& running) {
  if (!running.model) return "";
  const auto place = placement(running, tensor);
  if (!place) {
    const std::string_view codes = codes_beside(tensor, checkpoint);
    return codes.empty() ? "not used" : "with " + std::string(codes);
  }
  return place->kernel + (place->in_place ? ", in place" : ", " + format_bytes(place->bytes));
}

void print_text(const nibble::Checkpoint& checkpoint, const Running& running, bool full) {
  std::cout << checkpoint.source << "\n\nmetadata\n";
  for (const auto& [key, entry] : checkpoint.metadata.entries()) {
    std::cout << "  " << shorten(key, 120) << " = " << value_text(entry.value, full) << '\n';
  }
  std::size_t width = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) width = std::max(width, name.size());
  std::cout << "\ntensors\n" << std::left;
  for (const nibble::Tensor* tensor : in_file_order(checkpoint)) {
    std::cout << "  " << std::setw(static_cast<int>(width)) << shorten(tensor->name, 120) << "  "
              << std::setw(16) << to_string(tensor->shape) << "  " << std::setw(7)
              << format_name(tensor->dtype) << "  " << std::setw(11) << family_name(tensor->dtype) << "  "
              << std::setw(8) << format_bytes(tensor->bytes.size()) << "  "
              << placement_text(*tensor, checkpoint, running) << '\n';
  }
  const Totals totals = totals_of(checkpoint);
  std::cout << "\n"
            << checkpoint.tensors.size() << " tensors, " << totals.elements << " elements, "
            << format_bytes(totals.bytes) << ", " << format_number(totals.bits_per_weight(), 2)
            << " bits each\n\n";
  if (running.refusal) {
    std::cout << "cannot run here: " << running.refusal->what() << '\n';
  } else {
    print_memory(running.plan);
  }
}

ExitCode inspect(Arguments& arguments) {
  const Running running = plan_running(arguments.run);
  const nibble::Checkpoint checkpoint =
      opening([&] { return nibble::Checkpoint::open(arguments.run.model); });
  if (arguments.json) {
    print_json(checkpoint, running, arguments.full);
  } else {
    print_text(checkpoint, running, arguments.full);
  }
  if (!running.refusal) return ok;
  // Neither a vocabulary by itself nor an architecture of others is a bad file.
  const bool sound = checkpoint.tensors.empty() || running.refusal->code() == nibble::ErrorCode::unsupported;
  if (sound) return ok;
  throw Failure(exit_code(running.refusal->code(), Phase::opening), running.refusal->what());
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  CLI::App& command =
      *app.add_subcommand("inspect", "Show a file's metadata, tensors and memory")->group("Look at a model");
  auto arguments = std::make_shared<Arguments>();
  command.add_option("model,-m,--model", arguments->run.model, "A .gguf file or a folder")
      ->type_name("MODEL")
      ->required();
  command.add_flag("--full", arguments->full, "Print long arrays and texts whole");
  command.add_flag("--json", arguments->json, "Print a JSON object");
  add_run_options(command, arguments->run);
  command.callback(
      [arguments, &action] { action = [arguments](const std::stop_token&) { return inspect(*arguments); }; });
}

}  // namespace cli
