// A plan of the operator table on the subject, held against the reference in double.
// Used by op_table_test.cpp, phases_test.cpp and attend_test.cpp.
#pragma once

#include "kernels/backends.hpp"
#include "support/catch.hpp"
#include "tests/cuda/subject.hpp"
#include "tests/kernels/op_cases.hpp"

namespace nibble::test {

// Few outputs say little of arithmetic that rounds inputs: of those, all together are held to it.
inline constexpr std::size_t enough_outputs = 256;
inline constexpr double int8_tolerance = 1e-4, float_tolerance = 1e-11;

// `cut`: tokens at a time, that give the same bits as all at once; 0: a third of them and one.
inline void check_case(const Case& c, double allowed, Nmse* pool = nullptr, std::uint32_t cut = 0) {
  BackendOptions exact = c.options;
  exact.float64 = true;
  const auto oracle = reference::make_backend(exact);
  oracle->prepare(c.toy.plan, c.toy.weights, {});
  const std::vector<float> expected = run_tokens(*oracle, c.toy, c.options, c.tokens, c.tokens);
  const auto backend = make_subject(c.options);
  backend->prepare(c.toy.plan, c.toy.weights, {});
  const std::vector<float> got = run_tokens(*backend, c.toy, c.options, c.tokens, c.tokens);
  if (pool != nullptr) pool->add(got, expected);
  if (pool == nullptr || expected.size() >= enough_outputs) REQUIRE(nmse(got, expected) <= allowed);
  if (cut == 0) cut = 1 + c.tokens / 3;
  REQUIRE(same_bits(run_tokens(*backend, c.toy, c.options, c.tokens, cut), got));
}

}  // namespace nibble::test
