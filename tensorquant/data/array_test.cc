#include "tensorquant/data/array.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;

constexpr std::size_t kHalf = std::size_t{1} << 63;

TEST(ShapeTest, CountsAreProducts) {
  EXPECT_EQ(element_count(Shape{}), 1u);
  EXPECT_EQ(element_count(Shape{2, 3, 4}), 24u);
  EXPECT_EQ(element_count(Shape{5, 0}), 0u);
  EXPECT_EQ(byte_count(DType::f64, Shape{3}), 24u);
  EXPECT_EQ(byte_count(DType::bf16, Shape{}), 2u);
}

TEST(ShapeTest, AProductThatDoesNotFitIsNothing) {
  EXPECT_EQ(element_count(Shape{kHalf}), kHalf);
  EXPECT_EQ(element_count(Shape{kHalf, 2}), std::nullopt);
  EXPECT_EQ(element_count(Shape{kHalf, kHalf, kHalf, kHalf}), std::nullopt);
  EXPECT_EQ(byte_count(DType::u8, Shape{kHalf}), kHalf);
  EXPECT_EQ(byte_count(DType::u16, Shape{kHalf}), std::nullopt);
}

TEST(ShapeTest, TextIsAPythonTuple) {
  EXPECT_EQ(to_string(Shape{}), "()");
  EXPECT_EQ(to_string(Shape{3}), "(3,)");
  EXPECT_EQ(to_string(Shape{2, 0, 4}), "(2, 0, 4)");
}

TEST(DTypeTest, NamesAndSizesBelongTogether) {
  EXPECT_EQ(name_of(DType::boolean), "boolean");
  EXPECT_EQ(name_of(DType::f8_e4m3), "f8_e4m3");
  EXPECT_EQ(name_of(DType::u64), "u64");
  EXPECT_EQ(size_of(dtype_of<std::int8_t>), sizeof(std::int8_t));
  EXPECT_EQ(size_of(dtype_of<std::uint16_t>), sizeof(std::uint16_t));
  EXPECT_EQ(size_of(dtype_of<float>), sizeof(float));
  EXPECT_EQ(size_of(dtype_of<double>), sizeof(double));
  EXPECT_EQ(size_of(dtype_of<std::uint64_t>), sizeof(std::uint64_t));
  EXPECT_EQ(size_of(DType::f16), 2u);
}

TEST(ArrayTest, GivesBackItsValues) {
  const std::vector<double> values = {1.5, -0.0, 3};
  const Array array = make_array<double>({3}, values);
  EXPECT_EQ(array.dtype, DType::f64);
  EXPECT_THAT(array.shape, ElementsAre(3));
  EXPECT_THAT(array.as<double>(), ElementsAre(1.5, -0.0, 3));
  EXPECT_TRUE(Array().as<std::uint8_t>().empty());
}

TEST(ArrayTest, AnotherTypeIsAnError) {
  const Array array = make_array<float>({1}, std::vector<float>{1});
  EXPECT_THROW(array.as<double>(), Error);
  EXPECT_THROW(array.as<std::int32_t>(), Error);
}

TEST(ArrayTest, AShapeForAnotherNumberOfValuesIsAnError) {
  const std::vector<float> values = {1, 2, 3};
  EXPECT_THROW(make_array<float>({2}, values), Error);
  EXPECT_THROW(make_array<float>({kHalf, 2}, values), Error);
}

}  // namespace
}  // namespace tensorquant
