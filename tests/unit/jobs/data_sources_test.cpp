// Mistakes in --source and its flags are told before anything is opened.
#include "jobs/commands/data_sources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string told(const std::map<std::string, std::string>& flags) {
    Arguments arguments;
    arguments.flags = flags;
    try {
        check_source_flags(arguments);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

TEST(DataSources, RightOnesPass) {
    EXPECT_EQ(told({{"source", "idx:data/mnist"}, {"licence", "CC"}}), "");
    EXPECT_EQ(told({{"source", "folder:photos"}, {"size", "224x160"}, {"skip-bad", "true"}}), "");
    EXPECT_EQ(told({{"source", "hdf5:a.h5"}, {"x", "images"}, {"y", "labels"}}), "");
    EXPECT_EQ(told({{"source", "synthetic:cifar10:500"}, {"size", "8x8"}}), "");
    EXPECT_EQ(told({{"source", "cifar10:C:/odd:path"}}), "");
    EXPECT_EQ(told({{"source", "text:book.txt.gz"}, {"tokenizer", "tokenizer.json"}}), "");
}

TEST(DataSources, MistakesAreToldTogether) {
    EXPECT_THAT(told({{"source", "foldr:photos"}}), HasSubstr("did you mean folder"));
    EXPECT_THAT(told({{"source", "folder"}}), HasSubstr("--source folder: must be"));
    EXPECT_THAT(told({{"source", "text:book.txt"}, {"size", "8x8"}}),
                HasSubstr("--size = 8x8: is not for sources of kind text"));
    EXPECT_THAT(told({{"source", "idx:d"}, {"tokenizer", "bytes"}}),
                HasSubstr("--tokenizer = bytes: is not for sources of kind idx"));
    EXPECT_THAT(told({{"source", "idx:d"}, {"skip-bad", "true"}, {"size", "8x8"}}),
                AllOf(HasSubstr("--size = 8x8: is not for sources of kind idx"),
                      HasSubstr("--skip-bad = true: is not for sources of kind idx")));
    EXPECT_THAT(told({{"source", "hdf5:a.h5"}}),
                AllOf(HasSubstr("--x: is missing"), HasSubstr("--y: is missing")));
    for (const char* size : {"224", "0x5", "5x", "x5", "5x5x5", "-4x4", "99999x4", "ax4"})
        EXPECT_THAT(told({{"source", "folder:p"}, {"size", size}}), HasSubstr("must be HxW")) << size;
    EXPECT_THAT(told({{"source", "synthetic:mnist"}, {"licence", "mine"}}),
                HasSubstr("is not for sources of kind"));
}

}  // namespace
}  // namespace trireme::jobs
