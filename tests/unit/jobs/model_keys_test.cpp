// The keys of [model]: which network a job names, and what it says of its ends.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/job_spec.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using testing::HasSubstr;

class ModelKeys : public testing::Test {
  protected:
    ModelKeys()
        : folder_(std::filesystem::path(testing::TempDir()) / ("model_keys_" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(folder_);
    }
    ~ModelKeys() override { std::filesystem::remove_all(folder_); }

    JobSpec job(const std::string& text, const std::map<std::string, Setting>& overrides = {}) {
        std::ofstream(folder_ / "job.cfg") << "[model]\n" << text;
        return load_job(folder_ / "job.cfg", overrides);
    }
    std::string mistakes(const std::string& text) {
        try {
            (void)job(text);
        } catch (const ConfigError& error) {
            return error.what();
        }
        return "none";
    }
    std::filesystem::path folder_;
};

TEST_F(ModelKeys, AFileBesideTheJobIsFoundAndKeptInTheCompleteJob) {
    std::ofstream(folder_ / "net.toml") << "[[layer]]\n";
    const JobSpec spec = job("file = net.toml\nloss = mse\nclasses = 1\n");
    EXPECT_EQ(spec.model.file, folder_ / "net.toml");
    EXPECT_EQ(spec.model.loss, LossKind::mse);
    EXPECT_THAT(spec.canonical_text(), HasSubstr("file = " + (folder_ / "net.toml").string()));
    EXPECT_EQ(job("file = other.toml\n").model.file, "other.toml");
}

TEST_F(ModelKeys, OneNetworkIsNamed) {
    EXPECT_THAT(mistakes("name = lenet\nfile = net.toml\n"),
                HasSubstr("model.name = lenet: model.file is set too: keep one of them"));
    EXPECT_THAT(mistakes("classes = 3\n"), HasSubstr("model.name: is missing: name a preset"));
    // The command line wins, whichever way it names one.
    const std::map<std::string, Setting> file{{"model.file", {"net.toml", "command line"}}};
    EXPECT_EQ(job("name = lenet\n", file).model.name, "");
    const std::map<std::string, Setting> name{{"model.name", {"resnet50", "command line"}}};
    EXPECT_EQ(job("file = net.toml\n", name).model.file, "");
}

TEST_F(ModelKeys, LossAndSmoothing) {
    EXPECT_FALSE(job("name = lenet\n").model.loss.has_value());
    EXPECT_FALSE(job("name = lenet\n").model.label_smoothing.has_value());
    EXPECT_EQ(job("name = lenet\nloss = bce\n").model.loss, LossKind::bce);
    EXPECT_DOUBLE_EQ(job("name = lenet\nlabel_smoothing = 0.1\n").model.label_smoothing.value(), 0.1);
    EXPECT_THAT(
        mistakes("name = lenet\nloss = bcs\n"),
        HasSubstr("model.loss = bcs: must be one of auto, cross-entropy, bce, mse (did you mean bce?)"));
    EXPECT_THAT(mistakes("name = lenet\nlabel_smoothing = 1\n"),
                HasSubstr("must be a number from 0 to 0.999"));
    EXPECT_THAT(mistakes("name = resnet5\n"), HasSubstr("did you mean resnet50?"));
}

}  // namespace
}  // namespace trireme::jobs
