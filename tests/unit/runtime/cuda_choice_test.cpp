// What is decided and said about GPUs, without one: every message names what is missing and what to do.
#include "runtime/device/cuda_choice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/device/sharing.hpp"

namespace trireme::cuda {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using State = DriverAnswer::State;

constexpr std::int64_t gib = std::int64_t{1} << 30;

TEST(CudaChoice, ADriverThatListsGpusIsNotRefused) {
    EXPECT_THAT(refusal_of_driver({State::ready, 13000, 13000, 8, ""}, {}), IsEmpty());
}

TEST(CudaChoice, AMissingDriverNamesTheLibraryAndTheWaysOut) {
    const DriverAnswer none{State::no_driver, 0, 13000, 0, "CUDA driver version is insufficient"};
    EXPECT_THAT(
        refusal_of_driver(none, {}),
        AllOf(HasSubstr("no NVIDIA driver (libcuda.so.1)"), HasSubstr("driver version is insufficient"),
              HasSubstr("--gpus all"), HasSubstr("set job.device to cpu")));
    EXPECT_THAT(refusal_of_driver(none, {.in_slurm = true}),
                AllOf(HasSubstr("--gpus-per-node"), Not(HasSubstr("--gpus all"))));
    EXPECT_THAT(refusal_of_driver(none, {.device_files = true}),
                HasSubstr("it is the driver's library that this process does not see"));
}

TEST(CudaChoice, AnOldDriverIsToldWithBothVersions) {
    EXPECT_THAT(refusal_of_driver({State::too_old, 12040, 13000, 0, ""}, {}),
                AllOf(HasSubstr("CUDA up to 12.4"), HasSubstr("this build needs 13.0"),
                      HasSubstr("update the driver"), HasSubstr("TRIREME_CUDA_ROOT")));
}

TEST(CudaChoice, HiddenGpusAreToldFromMissingOnes) {
    const DriverAnswer empty{State::no_gpu, 13000, 13000, 0, ""};
    EXPECT_THAT(refusal_of_driver(empty, {.visible_devices = ""}), HasSubstr("CUDA_VISIBLE_DEVICES is ''"));
    EXPECT_THAT(refusal_of_driver(empty, {}),
                AllOf(HasSubstr("shows this process no GPU"), Not(HasSubstr("CUDA_VISIBLE_DEVICES"))));
}

TEST(CudaChoice, OtherFailuresCarryCudasWords) {
    EXPECT_THAT(refusal_of_driver({State::failed, 13000, 13000, 0, "system not yet initialized"}, {}),
                AllOf(HasSubstr("system not yet initialized"), HasSubstr("nvidia-smi")));
}

TEST(CudaChoice, OldGpusAndOldCudnnAreRefused) {
    EXPECT_THAT(refusal_of_gpu("Tesla V100", 70), AllOf(HasSubstr("Tesla V100"), HasSubstr("sm_70")));
    EXPECT_THAT(refusal_of_gpu("A100", 80), IsEmpty());
    EXPECT_THAT(refusal_of_cudnn(91299, "/opt/libcudnn.so.9"),
                AllOf(HasSubstr("cuDNN 9.12.99 of /opt/libcudnn.so.9"), HasSubstr("9.13.0 or newer"),
                      HasSubstr("TRIREME_CUDA_LIBRARIES")));
    EXPECT_THAT(refusal_of_cudnn(8907, "x"), HasSubstr("cuDNN 8.9.7"));
    EXPECT_THAT(refusal_of_cudnn(91300, "x"), IsEmpty());
}

TEST(CudaChoice, RanksTakeGpusInTurn) {
    EXPECT_EQ(gpu_of(8, 0), 0);
    EXPECT_EQ(gpu_of(8, 7), 7);
    EXPECT_EQ(gpu_of(1, 3), 0);  // each rank was shown its own, or they share
    EXPECT_EQ(gpu_of(2, 3), 1);
}

TEST(CudaChoice, OutOfMemoryCarriesThePlansFigure) {
    const Bytes total(80 * gib);
    EXPECT_THAT(out_of_memory("GPU 0", Bytes(12 * gib), Bytes(3 * gib), total, Bytes(0)),
                AllOf(HasSubstr("GPU 0 has no 12.0 GiB to give: 3.0 GiB of its 80.0 GiB are free"),
                      HasSubstr("Lower data.batch"), Not(HasSubstr("the plan"))));
    EXPECT_THAT(out_of_memory("GPU 0", Bytes(12 * gib), Bytes(3 * gib), total, Bytes(14 * gib)),
                AllOf(HasSubstr("the plan needs 14.0 GiB"), HasSubstr("something else holds its memory")));
    EXPECT_THAT(out_of_memory("GPU 0", Bytes(12 * gib), Bytes(11 * gib), total, Bytes(79 * gib + gib / 2)),
                AllOf(HasSubstr("the plan needs 79.5 GiB of it for this rank, and CUDA itself up to 1.0 GiB"),
                      HasSubstr("Lower data.batch"), Not(HasSubstr("something else"))));
    EXPECT_THAT(out_of_memory("GPU 0", Bytes(90 * gib), Bytes(79 * gib), total, Bytes(95 * gib)),
                AllOf(HasSubstr("the plan needs 95.0 GiB"), HasSubstr("Lower data.batch")));
}

TEST(CudaChoice, LibrariesAreLookedForInOrder) {
    EXPECT_THAT(library_candidates("libx.so.9", {}),
                ElementsAre("libx.so.9", "/usr/local/cuda/lib64/libx.so.9", "/usr/local/cuda/lib/libx.so.9"));
    EXPECT_THAT(
        library_candidates("libx.so.9", {.trireme_cuda_libraries = "/a::/b", .cuda_home = "/c"}),
        ElementsAre("/a/libx.so.9", "/b/libx.so.9", "libx.so.9", "/c/lib64/libx.so.9", "/c/lib/libx.so.9",
                    "/usr/local/cuda/lib64/libx.so.9", "/usr/local/cuda/lib/libx.so.9"));
    EXPECT_THAT(missing_library("cuDNN", "libcudnn.so.9", std::vector<std::string>{"/a/libcudnn.so.9"}),
                AllOf(HasSubstr("cuDNN was not found"), HasSubstr("TRIREME_CUDA_LIBRARIES"),
                      HasSubstr("\n  /a/libcudnn.so.9")));
}

TEST(SharedDevices, AreListedWithTheirRanks) {
    EXPECT_THAT(
        shared_devices(std::vector<Occupant>{{0, "a", "GPU-1"}, {1, "a", "GPU-2"}, {2, "b", "GPU-3"}}),
        IsEmpty());
    EXPECT_THAT(shared_devices(std::vector<Occupant>{{0, "a", ""}, {1, "a", ""}}), IsEmpty());  // cores
    EXPECT_EQ(shared_devices(std::vector<Occupant>{{0, "a", "GPU-1"}, {1, "a", "GPU-2"}, {2, "a", "GPU-1"}}),
              "\n  ranks 0, 2 of host a: GPU-1");
}

}  // namespace
}  // namespace trireme::cuda
