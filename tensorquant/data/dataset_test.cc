#include "tensorquant/data/dataset.h"

#include <gmock/gmock.h>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(DatasetTest, AFolderIsReadAsIdx) {
  EXPECT_THAT(load_image_dataset(golden_folder() / "idx_plain", Split::test).labels,
              ElementsAre(7, 0, 9));
  EXPECT_THAT(load_image_dataset(golden_folder() / "idx_plain", Split::train).labels,
              ElementsAre(7, 0));
}

TEST(DatasetTest, AFileIsReadAsCifar10WhateverTheSplit) {
  for (Split split : {Split::train, Split::test}) {
    EXPECT_THAT(load_image_dataset(golden_folder() / "cifar10_2.bin", split).labels,
                ElementsAre(3, 9));
  }
}

TEST(DatasetTest, AFileOfAnotherKindIsAnError) {
  EXPECT_THAT(error_of([] { load_image_dataset(golden_folder() / "README.md", Split::test); }),
              HasSubstr("README.md: expected CIFAR-10 records"));
}

TEST(DatasetTest, APathThatDoesNotExistIsAnErrorThatSaysSo) {
  EXPECT_EQ(error_of([] { load_image_dataset("no/such/path", Split::test); }),
            "no/such/path: does not exist; expected a file of CIFAR-10 records or a folder with "
            "IDX files");
}

TEST(DatasetTest, AFolderWithoutTheFilesIsAnErrorThatNamesTheMissingOne) {
  EXPECT_THAT(error_of([] { load_image_dataset(golden_folder(), Split::train); }),
              HasSubstr("train-images-idx3-ubyte: is missing"));
}

}  // namespace
}  // namespace tensorquant
