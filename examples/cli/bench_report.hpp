// What `nibble bench` prints: one record a test, as a table, JSON or CSV.
// The fields' names and meanings are listed in docs/bench.md; programs rely on them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench_test.hpp"

namespace cli {

// Fields in the order in which they are printed.
using BenchRecord = nlohmann::ordered_json;

// Of one test on one engine; `model` is its name, `rates` are tokens a second.
BenchRecord make_record(const nibble::Engine& engine, const std::string& model, const probe::Limits& limits,
                        const BenchTest& test, const std::vector<double>& rates);

enum class BenchForm { md, json, csv };
// On stdout; at least one record.
void print_records(const std::vector<BenchRecord>& records, BenchForm form);

}  // namespace cli
