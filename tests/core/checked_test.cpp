// Overflow-checked integers at their edges, and shapes.
#include "nibble/core/checked.hpp"

#include "nibble/core/shape.hpp"
#include "support/catch.hpp"

using namespace nibble;

namespace {

constexpr std::uint64_t most = ~0ull;

}  // namespace

TEST_CASE("checked_add") {
  CHECK(checked_add(most - 1, 1) == most);
  CHECK(!checked_add(most, 1));
  CHECK(!checked_add(most, most));
}

TEST_CASE("checked_mul") {
  CHECK(checked_mul(0, most) == 0u);
  CHECK(checked_mul(most, 0) == 0u);
  CHECK(checked_mul(most, 1) == most);
  CHECK(checked_mul(0xffffffff, 0x100000001) == most);
  CHECK(!checked_mul(1ull << 32, 1ull << 32));
  CHECK(!checked_mul(most, 2));
}

TEST_CASE("checked_round_up") {
  CHECK(checked_round_up(0, 32) == 0u);
  CHECK(checked_round_up(1, 32) == 32u);
  CHECK(checked_round_up(64, 32) == 64u);
  CHECK(checked_round_up(most - 31, 32) == most - 31);
  CHECK(!checked_round_up(most - 30, 32));
  CHECK(checked_round_up(7, 1) == 7u);
}

TEST_CASE("checked_cast") {
  CHECK(checked_cast<std::uint8_t>(255) == 255);
  CHECK(!checked_cast<std::uint8_t>(256));
  CHECK(!checked_cast<std::uint8_t>(-1));
  CHECK(!checked_cast<std::int64_t>(1ull << 63));
  CHECK(!checked_cast<std::uint64_t>(std::int64_t{-1}));
  CHECK(checked_cast<std::int32_t>(std::int64_t{-2147483648}) == -2147483648);
  CHECK(!checked_cast<std::int32_t>(std::int64_t{-2147483649}));
}

TEST_CASE("shapes") {
  const Shape shape = {2, 3, 4};
  CHECK(shape.rank() == 3);
  CHECK(shape.cols() == 4);
  CHECK(shape.rows() == 6);
  CHECK(shape.elements() == 24);
  CHECK(to_string(shape) == "[2, 3, 4]");
  CHECK(Shape().elements() == 1);
  CHECK(to_string(Shape()) == "[]");
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK(!(Shape{2, 3} == Shape{3, 2}));
  CHECK(!(Shape{1} == Shape{}));
}
