// The keys of [precision]: what losses may be multiplied by, and beside what.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/job_file.hpp"
#include "jobs/spec/job_spec.hpp"
#include "jobs/training_steps.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using testing::HasSubstr;

class PrecisionKeysTest : public testing::Test {
  protected:
    PrecisionKeysTest()
        : file_(std::filesystem::path(testing::TempDir()) /
                ("precision_keys_" + std::to_string(::getpid()) + ".cfg")) {}
    ~PrecisionKeysTest() override { std::filesystem::remove(file_); }

    LossScaling scaling(const std::string& precision) {
        std::ofstream(file_) << "[model]\nname = lenet\n[precision]\n" << precision;
        return load_job(file_, {}).precision.loss_scale;
    }
    std::string mistakes(const std::string& precision) {
        try {
            (void)scaling(precision);
        } catch (const ConfigError& error) {
            return error.what();
        }
        return "none";
    }
    std::filesystem::path file_;
};

TEST_F(PrecisionKeysTest, LossesAreAsTheyAreByDefault) {
    EXPECT_FALSE(scaling("compute = fp32\n").scales());
    EXPECT_FALSE(scaling("compute = bf16\n").scales());
}

TEST_F(PrecisionKeysTest, ScaleIsDynamicOrAPowerOfTwo) {
    const LossScaling dynamic = scaling("compute = bf16\nloss_scale = dynamic\n");
    EXPECT_TRUE(dynamic.dynamic);
    EXPECT_EQ(dynamic.initial, 65536);
    const LossScaling fixed = scaling("compute = bf16\nloss_scale = 1024\n");
    EXPECT_FALSE(fixed.dynamic);
    EXPECT_EQ(fixed.initial, 1024);
    EXPECT_EQ(scaling("compute = bf16\nloss_scale = 0.5\n").initial, 0.5);
    for (const char* wrong : {"0", "-2", "1000", "nan", "inf", "automatic", "33554432"}) {
        EXPECT_THAT(mistakes(std::string("compute = bf16\nloss_scale = ") + wrong + "\n"),
                    HasSubstr("must be dynamic, or a power of two"))
            << wrong;
    }
}

TEST_F(PrecisionKeysTest, GradientsInFp32NeedNone) {
    for (const char* text : {"loss_scale = dynamic\n", "compute = fp32\nloss_scale = 8\n"})
        EXPECT_THAT(mistakes(text), HasSubstr("is for precision.compute = fp16 (or bf16)"));
}

/// What a device computes in is asked of it, where it is not known yet.
TEST_F(PrecisionKeysTest, FormatsOfGpusAreForGpus) {
    EXPECT_TRUE(scaling("compute = fp16\n").dynamic);
    EXPECT_FALSE(scaling("compute = tf32\n").scales());
    for (const char* format : {"fp16", "tf32"}) {
        for (const char* device : {"cpu", "reference"}) {
            EXPECT_THAT(mistakes(std::string("compute = ") + format + "\n[job]\ndevice = " + device + "\n"),
                        HasSubstr("are formats of graphics processors"));
        }
    }
}

/// Bias corrections and averages count updates, not steps.
TEST(ResumedState, CountsWhatWasCommittedAndGoesOnWithTheScale) {
    Position position;
    position.step = 7;
    position.skipped = 2;
    const StepState plain = TrainingSteps::state_at(position, {.initial = 8});
    EXPECT_EQ(plain.update, 5);
    EXPECT_EQ(plain.loss_scale, 8);
    position.scale = LossScale{.value = 32, .good_in_a_row = 3};
    const StepState scaled = TrainingSteps::state_at(position, dynamic_loss_scaling());
    EXPECT_EQ(scaled.update, 5);
    EXPECT_EQ(scaled.loss_scale, 32);
    EXPECT_EQ(scaled.good_in_a_row, 3);
}

}  // namespace
}  // namespace trireme::jobs
