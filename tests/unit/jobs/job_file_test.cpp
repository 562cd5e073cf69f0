#include "jobs/spec/job_file.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/job_spec.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using testing::HasSubstr;

class JobFileTest : public testing::Test {
  protected:
    JobFileTest()
        : folder_(std::filesystem::path(testing::TempDir()) / ("job_file_" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(folder_);
    }
    ~JobFileTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file(const std::string& text) {
        std::ofstream(folder_ / "job.cfg") << text;
        return folder_ / "job.cfg";
    }
    std::string mistakes(const std::string& text, const std::map<std::string, Setting>& overrides = {}) {
        try {
            (void)load_job(file(text), overrides);
        } catch (const ConfigError& error) {
            return error.what();
        }
        return "none";
    }
    std::filesystem::path folder_;
};

TEST_F(JobFileTest, ReadsWhatIsThere) {
    const JobSpec spec = load_job(file("# a comment\n[model]\nname = lenet\n[optimizer]\nlr = 0.05   # "
                                       "why\nmomentum=0.9\n[data]\nbatch = 32\n"),
                                  {{"data.batch", {"48", "command line"}}});
    EXPECT_EQ(spec.model.name, "lenet");
    EXPECT_DOUBLE_EQ(spec.optimizer.lr, 0.05);
    EXPECT_EQ(spec.data.batch, 48);
    EXPECT_EQ(spec.job.name, "job");
    EXPECT_EQ(spec.job.output, std::filesystem::path("runs") / "job");
}

TEST_F(JobFileTest, TellsFiveMistakesTogetherWithTheirLines) {
    const std::string text = mistakes(
        "[job]\nsead = 3\nepochs = many\n[data]\nbatch = 0\n[optimizer]\nname = sdg\nlr\n[model]\nname = "
        "lenet\n");
    EXPECT_THAT(text, HasSubstr("5 mistakes"));
    EXPECT_THAT(text, HasSubstr("job.cfg:2: job.sead = 3: unknown key (did you mean job.seed?)"));
    EXPECT_THAT(text, HasSubstr("job.cfg:3: job.epochs = many: must be a whole number of at least 1"));
    EXPECT_THAT(text, HasSubstr("job.cfg:5: data.batch = 0: must be a whole number from 1"));
    EXPECT_THAT(
        text,
        HasSubstr(
            "job.cfg:7: optimizer.name = sdg: must be one of sgd, adamw, lars, lamb (did you mean sgd?)"));
    EXPECT_THAT(text, HasSubstr("job.cfg:8: lr: is neither [section] nor key = value"));
}

TEST_F(JobFileTest, RefusesWhatIsNotThereYetByName) {
    EXPECT_THAT(mistakes("[model]\nname = lenet\n[optimizer]\nsharded = true\n"),
                HasSubstr("optimizer.sharded = true: is not available yet"));
    EXPECT_THAT(mistakes("[model]\nname = lenet\n[parallel]\nwire = bf16\n"), HasSubstr("not available yet"));
}

TEST_F(JobFileTest, TellsAKeySetTwice) {
    EXPECT_THAT(mistakes("[model]\nname = lenet\n[data]\nbatch = 1\nbatch = 2\n"),
                HasSubstr("job.cfg:5: data.batch = 2: is set already in line 4"));
}

TEST_F(JobFileTest, TellsAMissingFile) {
    EXPECT_THROW((void)load_job(folder_ / "nothing.cfg", {}), ConfigError);
    EXPECT_THAT(mistakes(""), HasSubstr("model.name: is missing"));
}

TEST_F(JobFileTest, CanonicalTextGivesTheSameJob) {
    const JobSpec first = load_job(
        file("[model]\nname = mlp\n[optimizer]\nname = adamw\nlr = 1e-3\n[parallel]\nmicrobatches = 2\n"),
        {});
    const JobSpec again = load_job(file(first.canonical_text()), {});
    EXPECT_EQ(first.canonical_text(), again.canonical_text());
    EXPECT_THAT(first.canonical_text(), HasSubstr("[parallel]"));
}

CommandSyntax syntax() {
    CommandSyntax s;
    s.usage = "trireme try JOB";
    s.positionals = 1;
    s.job_keys = true;
    s.flags = {{"world", true, ""}, {"json", false, ""}};
    return s;
}

std::string argument_mistakes(const std::vector<std::string>& words) {
    try {
        (void)parse_arguments(syntax(), words);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "none";
}

TEST(Arguments, ReadsFlagsAndKeys) {
    const Arguments a = parse_arguments(
        syntax(), {"job.cfg", "--world", "4", "--json", "--optimizer.lr=0.1", "--data.batch", "7"});
    EXPECT_EQ(a.positional, std::vector<std::string>{"job.cfg"});
    EXPECT_EQ(a.value("world"), "4");
    EXPECT_TRUE(a.has("json"));
    EXPECT_EQ(a.job_settings.at("optimizer.lr").value, "0.1");
    EXPECT_EQ(a.job_settings.at("data.batch").value, "7");
    EXPECT_FALSE(parse_arguments(syntax(), {"job.cfg"}).has("json"));
}

TEST(Arguments, UnknownAbbreviatedAndMissing) {
    EXPECT_THAT(argument_mistakes({"j", "--wrold", "4"}),
                HasSubstr("--wrold: unknown flag (did you mean world?)"));
    EXPECT_THAT(argument_mistakes({"j", "--worl", "4"}), HasSubstr("unknown flag"));
    EXPECT_THAT(argument_mistakes({"j", "--optimizer.lear", "4"}), HasSubstr("unknown flag"));
    EXPECT_THAT(argument_mistakes({"j", "--world"}), HasSubstr("world"));
    EXPECT_THAT(argument_mistakes({}), HasSubstr("0 argument(s) where 1 belong"));
}

}  // namespace
}  // namespace trireme::jobs
