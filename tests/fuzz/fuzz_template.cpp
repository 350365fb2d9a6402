// Fuzzes chat templates: any source, over any variables, gives a positioned Error or a prompt.
// See tests/fuzz/CMakeLists.txt for how to run it. What follows a NUL byte are the variables.
#include <string>

#include "fuzz/oracle.hpp"
#include "nibble/text/chat_template.hpp"

using namespace nibble;

namespace {

constexpr std::string_view usual = R"({"messages": [{"role": "system", "content": "S é"},
  {"role": "user", "content": " a\nb "}, {"role": "assistant", "content": null, "tool_calls": [
  {"id": "1", "function": {"name": "f", "arguments": {"x": [1, 2.5, true]}}}]}], "tools": [{"type": "function"}],
  "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"})";

const Limits limits = {.json_depth = 32, .template_steps = 20'000, .template_output = 1u << 16};
const std::chrono::local_seconds now = std::chrono::local_days{std::chrono::July / 26 / 2024};

// Ranges lie apart, in order, between whole characters; and there is one answer.
void demand_sound(const ChatTemplate& chat, std::string_view variables) {
  const ChatPrompt prompt = chat.render(variables, now);
  fuzz::demand(!find_invalid_utf8(prompt.text));
  std::size_t before = 0;
  for (const auto& [begin, end] : prompt.from_input) {
    fuzz::demand(begin >= before && end > begin && end <= prompt.text.size());
    fuzz::demand(!find_invalid_utf8(std::string_view(prompt.text).substr(begin, end - begin)));
    before = end + 1;
  }
  const ChatPrompt again = chat.render(variables, now);
  fuzz::demand(again.text == prompt.text && again.from_input == prompt.from_input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t nul = text.find('\0');
  const std::string_view variables = nul == text.npos ? usual : text.substr(nul + 1);
  try {
    demand_sound(ChatTemplate(text.substr(0, nul), "input", limits), variables);
  } catch (const Error& error) {
    fuzz::demand(error.code() != ErrorCode::internal && error.code() != ErrorCode::out_of_memory);
    const bool from_template = error.source() == "input";
    fuzz::demand(from_template || error.source() == "variables");
    if (from_template) {
      fuzz::demand(error.position().starts_with("line ") || error.position().starts_with("byte "));
    }
  } catch (...) {
    fuzz::demand(false);
  }
  return 0;
}
