// The optimizer's keys: parameter groups in files and on the command line, and what goes with what.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/job_file.hpp"
#include "jobs/spec/job_spec.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using testing::HasSubstr;

class OptimizerKeysTest : public testing::Test {
  protected:
    OptimizerKeysTest()
        : folder_(std::filesystem::path(testing::TempDir()) /
                  ("optimizer_keys_" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(folder_);
    }
    ~OptimizerKeysTest() override { std::filesystem::remove_all(folder_); }

    JobSpec job(const std::string& text, const std::map<std::string, Setting>& overrides = {}) {
        std::ofstream(folder_ / "job.cfg") << "[model]\nname = lenet\n" << text;
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
    static std::vector<std::string> names(const JobSpec& spec) {
        std::vector<std::string> all;
        for (const ParamGroup& group : spec.optimizer.groups) all.push_back(group.name);
        return all;
    }
    std::filesystem::path folder_;
};

const char* const two_groups =
    "[optimizer]\nlr = 0.1\n[optimizer.zeta]\nmatch = *.bias, bn*\nweight_decay = 0\n"
    "[parallel]\nmicrobatches = 2\n[optimizer.alpha]\nlr = 0.01\nmatch = fc?.weight\n";

TEST_F(OptimizerKeysTest, GroupsKeepTheOrderOfTheFile) {
    const JobSpec spec = job(two_groups);
    ASSERT_EQ(names(spec), (std::vector<std::string>{"zeta", "alpha"}));
    EXPECT_EQ(spec.optimizer.groups[0].match, "*.bias, bn*");
    EXPECT_EQ(spec.optimizer.groups[0].weight_decay, 0.0);
    EXPECT_FALSE(spec.optimizer.groups[0].lr);
    EXPECT_EQ(spec.optimizer.groups[1].lr, 0.01);
}

TEST_F(OptimizerKeysTest, GroupsSurviveTheCanonicalText) {
    const JobSpec first = job(two_groups);
    const std::string text = first.canonical_text();
    std::ofstream(folder_ / "again.cfg") << text;
    const JobSpec again = load_job(folder_ / "again.cfg", {});
    EXPECT_EQ(again.canonical_text(), text);
    EXPECT_EQ(names(again), names(first));
    EXPECT_THAT(
        text, HasSubstr("\n[optimizer.zeta]\nmatch = *.bias, bn*\nweight_decay = 0\n\n[optimizer.alpha]\n"));
}

TEST_F(OptimizerKeysTest, TheCommandLineChangesAndAddsGroups) {
    CommandSyntax syntax;
    syntax.job_keys = true;
    syntax.positionals = 1;
    const Arguments arguments = parse_arguments(
        syntax, {"job.cfg", "--optimizer.zeta.match", "conv*", "--optimizer.beta.match=*.bias",
                 "--optimizer.beta.lr", "0.5", "--optimizer.alpha.lr=0.02", "--optimizer.alpha.lr=0.03"});
    const JobSpec spec = job(two_groups, arguments.job_settings);
    ASSERT_EQ(names(spec), (std::vector<std::string>{"zeta", "alpha", "beta"}));
    EXPECT_EQ(spec.optimizer.groups[0].match, "conv*");
    EXPECT_EQ(spec.optimizer.groups[1].lr, 0.03);
    EXPECT_EQ(spec.optimizer.groups[2].lr, 0.5);
}

TEST_F(OptimizerKeysTest, TellsWhatIsWrongWithAGroup) {
    EXPECT_THAT(mistakes("[optimizer.b]\nmatch = *.bias\nlearning = 1\n"),
                HasSubstr("job.cfg:5: optimizer.b.learning = 1: unknown key"));
    EXPECT_THAT(mistakes("[optimizer.b]\nmatch = *.bias\nweight_dekay = 1\n"),
                HasSubstr("unknown key (did you mean optimizer.b.weight_decay?)"));
    EXPECT_THAT(mistakes("[optimizer.b]\nlr = 0.1\n"),
                HasSubstr("job.cfg:4: optimizer.b.lr = 0.1: the group b needs optimizer.b.match"));
    EXPECT_THAT(mistakes("[optimizer.b]\nmatch = *\n"), HasSubstr("the group b sets nothing"));
    EXPECT_THAT(mistakes("[optimizer.b]\nmatch = *\nlr = fast\n"),
                HasSubstr("optimizer.b.lr = fast: must be a number"));
    EXPECT_THAT(mistakes("[optimizer.b.c]\nmatch = *\n"), HasSubstr("unknown key"));
    EXPECT_THAT(mistakes("[optimiser.b]\nmatch = *\n"), HasSubstr("unknown key"));
    CommandSyntax syntax;
    syntax.job_keys = true;
    EXPECT_THROW((void)parse_arguments(syntax, {"--optimizer.b.lrr", "1"}), ConfigError);
}

TEST_F(OptimizerKeysTest, ReadsTheRulesOfTraining) {
    const JobSpec spec = job(
        "[optimizer]\nname = lars\nmomentum = 0.9\ntrust = 0.02\nclip = 1.5\nema = 0.99\n[job]\nearly_stop = "
        "3\nnan = skip\n");
    EXPECT_EQ(spec.optimizer.name, "lars");
    EXPECT_EQ(spec.optimizer.trust, 0.02);
    EXPECT_EQ(spec.optimizer.clip, 1.5);
    EXPECT_EQ(spec.optimizer.ema, 0.99);
    EXPECT_EQ(spec.job.early_stop, 3);
    EXPECT_EQ(spec.job.nan, NanPolicy::skip);
    const JobSpec plain = job("");
    EXPECT_EQ(plain.optimizer.clip, 0);
    EXPECT_EQ(plain.optimizer.ema, 0);
    EXPECT_FALSE(plain.job.early_stop);
    EXPECT_EQ(plain.job.nan, NanPolicy::stop);
}

TEST_F(OptimizerKeysTest, RefusesWhatDoesNotGoTogether) {
    EXPECT_THAT(mistakes("[optimizer]\nname = lars\nmomentum = 0.9\nnesterov = true\n"),
                HasSubstr("needs optimizer.name = sgd"));
    EXPECT_THAT(mistakes("[optimizer]\nema = 1\n"), HasSubstr("optimizer.ema = 1: must be a number"));
    EXPECT_THAT(mistakes("[optimizer]\nclip = 0\n"), HasSubstr("optimizer.clip = 0: must be a number"));
    EXPECT_THAT(mistakes("[job]\nnan = ignore\n"), HasSubstr("must be one of stop, skip"));
}

}  // namespace
}  // namespace trireme::jobs
