// Records and their three forms.
// See bench_report.hpp.
#include "bench_report.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <numeric>
#include <utility>

#include "commit.hpp"
#include "nibble/version.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

// Of a sample; 0 of a single value.
double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return values.size() < 2 ? 0 : std::sqrt(squares / static_cast<double>(values.size() - 1));
}

// As the system names it; empty where it does not.
std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != line.npos)
      return line.substr(line.find(": ") + 2);
  }
  return "";
}

nlohmann::ordered_json limits_json(const probe::Limits& limits) {
  nlohmann::ordered_json peaks = nlohmann::ordered_json::array();
  for (const probe::Peak& peak : limits.peaks) {
    peaks.push_back({{"tier", peak.tier},
                     {"type", probe::to_string(peak.type)},
                     {"instruction", peak.instruction},
                     {"gmacs", peak.gmacs}});
  }
  return {{"n_threads", limits.threads}, {"read_gbps", limits.read_gbps}, {"peaks", peaks}};
}

std::uint64_t file_bytes(const nibble::Model& model) {
  std::uint64_t bytes = 0;
  for (const auto& file : model.checkpoint().files) bytes += file->bytes().size();
  return bytes;
}

std::string cell(const BenchRecord& record, const char* field, int decimals) {
  return format_number(record[field].get<double>(), decimals);
}

void print_limits(const BenchRecord& record) {
  const auto& limits = record["limits"];
  std::cout << "\nLimits at " << limits["n_threads"]
            << (limits["n_threads"] == 1 ? " thread: " : " threads: ") << cell(limits, "read_gbps", 1)
            << " GB/s read";
  for (const auto& peak : limits["peaks"]) {
    if (peak["tier"] == record["tier"])
      std::cout << "; " << peak["type"].get<std::string>() << ' ' << cell(peak, "gmacs", 0) << " GMAC/s ("
                << peak["instruction"].get<std::string>() << ')';
  }
  std::cout << ".\n";
}

void print_table(const std::vector<BenchRecord>& records) {
  std::cout << "nibble " << records[0]["version"].get<std::string>() << ' '
            << records[0]["commit"].get<std::string>() << " on " << records[0]["cpu"].get<std::string>()
            << "\n\n| model | size | backend | threads | test | tokens/s | GB/s | GMAC/s | % of roof |\n"
               "|---|---:|---|---:|---|---:|---:|---:|---:|\n";
  for (const BenchRecord& record : records) {
    const auto text = [&](const char* field) { return record[field].get<std::string>(); };
    std::cout << "| " << text("model") << " | " << format_bytes(record["model_bytes"].get<std::uint64_t>())
              << " | " << text("backend") << " | " << record["n_threads"] << " | " << text("test") << " | "
              << cell(record, "avg_ts", 2) << " ± " << cell(record, "stddev_ts", 2) << " | "
              << cell(record, "gbps", 2) << " | " << cell(record, "gmacs", 1) << " | "
              << cell(record, "pct_of_roof", 1) << " (" << text("bound_by") << ") |\n";
  }
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (i + 1 == records.size() || records[i]["n_threads"] != records[i + 1]["n_threads"])
      print_limits(records[i]);
  }
}

// Strings quoted, nested values left out.
void print_csv_line(const BenchRecord& record, bool names) {
  const char* comma = "";
  for (const auto& [name, value] : record.items()) {
    if (value.is_structured()) continue;
    std::cout << std::exchange(comma, ",");
    if (names) {
      std::cout << name;
    } else if (value.is_string()) {
      std::string quoted;
      for (const char c : value.get<std::string>()) quoted += c == '"' ? "\"\"" : std::string(1, c);
      std::cout << '"' << quoted << '"';
    } else {
      std::cout << value;
    }
  }
  std::cout << '\n';
}

}  // namespace

BenchRecord make_record(const nibble::Engine& engine, const std::string& model, const probe::Limits& limits,
                        const BenchTest& test, const std::vector<double>& rates) {
  const std::string& backend = engine.plan().backend;
  const std::string tier = backend.substr(0, 4) == "cpu/" ? backend.substr(4) : "";
  const Work work = count_work(engine, test);
  const Roof roof = find_roof(limits, tier, work);
  const double rate = mean_of(rates);
  return {{"test", test.name()},
          {"n_prompt", test.n_prompt},
          {"n_gen", test.n_gen},
          {"n_depth", test.n_depth},
          {"n_batch_seqs", test.n_seqs},
          {"n_threads", engine.options().threads},
          {"avg_ts", rate},
          {"stddev_ts", deviation_of(rates)},
          {"median_ts", median_of(rates)},
          {"bytes_per_token", work.bytes},
          {"macs_per_token", work.macs()},
          {"attend_macs_per_token", work.attend_macs},
          {"gbps", work.bytes * rate / 1e9},
          {"gmacs", work.macs() * rate / 1e9},
          {"attend_gmacs", work.attend_macs * rate / 1e9},
          {"roof_gbps", roof.gbps},
          {"roof_gmacs", roof.gmacs},
          {"roof_attend_gmacs", roof.attend_gmacs},
          {"roof_instruction", roof.instruction},
          {"roof_ts", 1 / roof.seconds},
          {"pct_of_roof", 100 * rate * roof.seconds},
          {"bound_by", roof.read_bound ? "read" : "arithmetic"},
          {"samples_ts", rates},
          {"version", nibble::version},
          {"commit", commit},
          {"cpu", cpu_name()},
          {"backend", backend},
          {"tier", tier},
          {"kv", nibble::to_string(engine.plan().kv_type)},
          {"batch", engine.options().batch},
          {"model", model},
          {"model_bytes", file_bytes(engine.model())},
          {"memory_bytes", engine.plan().memory.total()},
          {"limits", limits_json(limits)}};
}

void print_records(const std::vector<BenchRecord>& records, BenchForm form) {
  if (form == BenchForm::md) return print_table(records);
  if (form == BenchForm::json) {
    std::cout << BenchRecord(records).dump(2, ' ', false, BenchRecord::error_handler_t::replace) << '\n';
    return;
  }
  print_csv_line(records[0], true);
  for (const BenchRecord& record : records) print_csv_line(record, false);
}

}  // namespace cli
