// nibble template: renders a chat template from variables given as JSON.
// Needs a tokenizer or a template file only; shows what `nibble chat` would send.
#include <CLI/CLI.hpp>
#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "input.hpp"
#include "load_tokenizer.hpp"
#include "nibble/text/chat_template.hpp"

namespace cli {

namespace {

struct Arguments {
  std::string model;
  std::string name;
  std::string input;
  std::string date;
  bool json = false;
};

nibble::ChatTemplate load_template(const Arguments& arguments) {
  const std::filesystem::path path = arguments.model;
  const bool is_model =
      std::filesystem::is_directory(path) || path.extension() == ".gguf" || path.extension() == ".json";
  if (!is_model && !arguments.name.empty())
    throw Failure(usage, "--template-name is for a model's templates");
  const std::string source = is_model ? std::string() : read_input(path.string());
  return opening([&] {
    if (!is_model) return nibble::ChatTemplate(source, path.string());
    return arguments.name.empty() ? nibble::ChatTemplate(load_tokenizer(path))
                                  : nibble::ChatTemplate(load_tokenizer(path), arguments.name);
  });
}

// "2024-07-26" as noon of that day.
std::chrono::local_seconds parse_date(std::string_view text) {
  int fields[3] = {};
  bool valid = text.size() == 10 && text[4] == '-' && text[7] == '-';
  for (std::size_t i = 0; i < 3 && valid; ++i) {
    const char* const begin = text.data() + std::array{0, 5, 8}[i];
    const char* const end = begin + (i == 0 ? 4 : 2);
    valid = std::from_chars(begin, end, fields[i]).ptr == end;
  }
  const std::chrono::year_month_day date{std::chrono::year(fields[0]),
                                         std::chrono::month(static_cast<unsigned>(fields[1])),
                                         std::chrono::day(static_cast<unsigned>(fields[2]))};
  if (!valid || !date.ok()) throw Failure(usage, "not a date: " + std::string(text) + "; write 2024-07-26");
  return std::chrono::local_days(date) + std::chrono::hours(12);
}

nibble::ChatPrompt render(const nibble::ChatTemplate& chat, const Arguments& arguments) {
  const std::string variables = read_input(arguments.input);
  std::optional<std::chrono::local_seconds> now;
  if (!arguments.date.empty()) now = parse_date(arguments.date);
  try {
    return chat.render(variables, now);
  } catch (const nibble::Error& error) {
    if (error.code() == nibble::ErrorCode::out_of_memory) throw;
    throw Failure(failure, error.what());
  }
}

ExitCode print_rendered(const Arguments& arguments) {
  const nibble::ChatPrompt prompt = render(load_template(arguments), arguments);
  if (!arguments.json) {
    std::cout << prompt.text;
    return ok;
  }
  nlohmann::ordered_json out = {{"text", prompt.text}, {"from_input", nlohmann::ordered_json::array()}};
  for (const nibble::ByteRange& range : prompt.from_input)
    out["from_input"].push_back({range.begin, range.end});
  std::cout << out.dump(2) << '\n';
  return ok;
}

}  // namespace

void add_template(CLI::App& app, Action& action) {
  CLI::App& command = *app.add_subcommand("template", "Render a chat template")->group("Look at a model");
  auto arguments = std::make_shared<Arguments>();
  command.add_option("-m,--model", arguments->model, "A .gguf file, a folder, or a template's source")
      ->type_name("MODEL_OR_JINJA")
      ->required();
  command
      .add_option(
          "--template-name", arguments->name,
          "Which of a model's templates (default: tool_use where there are tools and such a template, "
          "else default)")
      ->type_name("NAME");
  command
      .add_option("--input", arguments->input,
                  "The variables as a JSON object: messages, tools, add_generation_prompt, bos_token, … "
                  "(default: stdin)")
      ->type_name("VARS.json");
  command
      .add_option("--date", arguments->date,
                  "What strftime_now tells, as 2024-07-26 (default: the template has no such function)")
      ->type_name("DATE");
  command.add_flag("--json", arguments->json,
                   "Print the text and the byte ranges that came from the variables");
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token&) { return print_rendered(*arguments); };
  });
}

}  // namespace cli
