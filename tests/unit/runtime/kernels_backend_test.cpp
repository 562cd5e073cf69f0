// The table of back ends, the CPU device and its kernel threads.
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels_support.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/core/error.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/kernels/onednn/onednn_provider.hpp"

namespace trireme::test {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> provider_names(const Backend& backend) {
    std::vector<std::string> names;
    for (const auto& provider : backend.providers) names.emplace_back(provider->name());
    return names;
}

template <class E>
std::string message_of_make_backend(const std::string& kind, int threads) {
    try {
        (void)make_backend(kind, threads);
    } catch (const E& e) {
        return e.what();
    }
    return "nothing was thrown";
}

TEST(KernelsBackend, CpuHasOnednnThenReference) {
    for (const char* kind : {"auto", "cpu"}) {
        const Backend backend = make_backend(kind, 2);
        EXPECT_EQ(backend.device->kind(), "cpu");
        EXPECT_EQ(provider_names(backend), (std::vector<std::string>{"onednn", "reference"}));
        EXPECT_THAT(backend.device->describe(),
                    ::testing::AllOf(HasSubstr(onednn::instruction_set()), HasSubstr("2 threads")));
        EXPECT_EQ(cpu::kernel_threads(), 2);
    }
}

TEST(KernelsBackend, ReferenceStandsAlone) {
    const Backend backend = make_backend("reference", 1);
    EXPECT_EQ(backend.device->kind(), "reference");
    EXPECT_EQ(provider_names(backend), (std::vector<std::string>{"reference"}));
}

TEST(KernelsBackend, CudaIsRefusedWithTheRemedy) {
    EXPECT_THAT(message_of_make_backend<DeviceError>("cuda", 1),
                ::testing::AllOf(HasSubstr("no CUDA back end"), HasSubstr("set job.device to cpu")));
}

TEST(KernelsBackend, UnknownKindsAndThreadCountsAreConfigErrors) {
    EXPECT_THAT(message_of_make_backend<ConfigError>("cpuu", 1), HasSubstr("did you mean cpu?"));
    EXPECT_THAT(message_of_make_backend<ConfigError>("cpu", 0), HasSubstr("job.threads is 0"));
}

TEST(KernelsBackend, VersionsNameOnednn) {
    const auto versions = backend_versions();
    ASSERT_FALSE(versions.empty());
    EXPECT_EQ(versions.front().first, "onednn");
    EXPECT_TRUE(versions.front().second.starts_with("3."));
}

TEST(KernelsBackend, DeviceMemoryIsTheHosts) {
    const Backend backend = make_backend("cpu", 1);
    Region region(backend.device->memory(), Bytes(4096));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.data()) % 64, 0U);
    backend.device->make_stream()->synchronize();
}

TEST(KernelThreads, RangesCoverEverythingOnce) {
    for (int threads : {1, 2, 3}) {
        for (std::int64_t count : {0, 1, 2, 7, 1000}) {
            std::vector<int> touched(static_cast<std::size_t>(count), 0);
            cpu::parallel_ranges(threads, count, [&](int worker, std::int64_t begin, std::int64_t end) {
                EXPECT_LT(worker, threads);
                for (std::int64_t i = begin; i < end; ++i) ++touched[static_cast<std::size_t>(i)];
            });
            EXPECT_THAT(touched, ::testing::Each(1)) << threads << " threads, " << count;
        }
    }
}

// Ranks that are threads of one process: the team size belongs to the thread, so each launch sets its own.
TEST(KernelThreads, KernelsMadeOnOneThreadRunOnAnother) {
    const layers::ModelGraph graph =
        graph_of({"conv", layers::Conv2d{.out_channels = 50, .kernel = {5, 5}, .bias = true}, {12, 12, 20}});
    const Operands operands(graph, 4, 8);
    const Results here = run_kernels(graph, OnednnProvider{}, operands, 4, 1);
    Results there;
    std::thread([&] {
        cpu::use_kernel_threads(3);
        there = run_kernels(graph, OnednnProvider{}, operands, 4, 1);
    }).join();
    EXPECT_TRUE(same_bits(here.output, there.output));
    EXPECT_TRUE(same_bits(here.d_params[0], there.d_params[0]));
}

}  // namespace
}  // namespace trireme::test
