// The CUDA back end's own words where it cannot run, and the libraries that it opens late.
#include <cstdlib>

#include <cudnn_version.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/available_backends.hpp"
#include "runtime/core/error.hpp"
#include "runtime/device/cuda/cuda_device.hpp"
#include "runtime/device/cuda/imports/libraries.hpp"

namespace trireme::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

bool gpu_is_here() { return ask_driver().state == DriverAnswer::State::ready; }

template <class F>
std::string device_error_of(F&& body) {
    try {
        body();
    } catch (const DeviceError& e) {
        return e.what();
    }
    return "nothing was thrown";
}

std::string version_of(const std::string& library) {
    for (const auto& [name, version] : backend_versions()) {
        if (name == library) return version;
    }
    return "not listed";
}

TEST(DevicelessDevice, WithoutAGpuTheErrorNamesTheRemedy) {
    if (gpu_is_here()) GTEST_SKIP() << "a GPU is here";
    EXPECT_THAT(device_error_of([] { (void)make_backend("cuda", 1); }),
                AllOf(StartsWith("job.device is cuda, and "), HasSubstr("set job.device to cpu")));
}

TEST(DevicelessDevice, AutoIsTheCoresWhereNoGpuIs) {
    if (gpu_is_here()) GTEST_SKIP() << "a GPU is here";
    EXPECT_EQ(make_backend("auto", 1).device->kind(), "cpu");
}

TEST(DevicelessDevice, OtherKindsAreThoseOfTheCpuBuild) {
    EXPECT_EQ(make_backend("reference", 1).device->kind(), "reference");
    EXPECT_THROW((void)make_backend("cudaa", 1), ConfigError);
}

TEST(DevicelessLibraries, AllAreFoundAndGoodEnough) {
    EXPECT_EQ(device_error_of(require_libraries), "nothing was thrown");
    EXPECT_EQ(version_of("cudnn"), cudnn_version_text(CUDNN_VERSION));
    EXPECT_THAT(version_of("cublaslt"), ::testing::MatchesRegex("[0-9]+"));
    EXPECT_THAT(version_of("cuda_runtime"), ::testing::MatchesRegex("1[2-9]\\.[0-9]+"));
    EXPECT_THAT(cudnn_library().path(), AllOf(StartsWith("/"), HasSubstr("libcudnn.so.9")));
}

// In a process of its own: what a process has opened stays open.
TEST(DevicelessLibrariesDeathTest, AnOldCudnnIsRefused) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            ::setenv("TRIREME_CUDA_LIBRARIES", TRIREME_OLD_CUDNN, 1);
            fmt::print(stderr, "{}\n", device_error_of(require_libraries));
            std::exit(3);
        },
        ::testing::ExitedWithCode(3), "cuDNN 9.12.0 of .*/libcudnn.so.9 is too old: 9.13.0 or newer");
}

TEST(DevicelessLibraries, WhatIsMissingIsTold) {
    LateLibrary absent("Nothing", "libtrireme-has-none.so.1");
    EXPECT_THAT(
        device_error_of([&] { (void)absent.symbol("f"); }),
        AllOf(StartsWith("Nothing was not found"), HasSubstr("/usr/local/cuda/lib64/libtrireme-has-none")));
    EXPECT_THAT(device_error_of([] { (void)cudnn_library().symbol("cudnnDoesNotExist"); }),
                AllOf(HasSubstr("libcudnn.so.9"), HasSubstr("has no function cudnnDoesNotExist")));
}

}  // namespace
}  // namespace trireme::cuda
