// The parsers of what users write, fed with damaged texts: every case ends with a result or a ConfigError. A
// crash, a hang (ctest's time limit), another exception or much memory fails.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "jobs/models/model_file.hpp"
#include "jobs/models/toml_document.hpp"
#include "jobs/spec/job_spec.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/mutations.hpp"
#include "tests/support/said.hpp"

namespace trireme::jobs {
namespace {

const std::filesystem::path recipes = std::filesystem::path(__FILE__).parent_path() / "../../../jobs/recipes";

/// Most memory that this process ever had, in KiB.
std::int64_t peak_memory() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/// Sanitizers keep freed memory for a while, hence so much.
constexpr std::int64_t allowed_growth = 1 << 20;

struct Outcomes {
    std::int64_t accepted = 0;
    std::int64_t refused = 0;
};

/// The parameter is the shard: which ten thousand of all cases.
class Fuzz : public testing::TestWithParam<int> {};

template <class Parse>
Outcomes fuzz(const test::Mutations& mutations, int shard, Parse parse) {
    Outcomes outcomes;
    const std::int64_t before = peak_memory();
    const std::int64_t first = shard * test::fuzz_cases;
    for (std::int64_t index = first; index < first + test::fuzz_cases; ++index) {
        const std::string text = mutations.text(index);
        try {
            parse(text);
            ++outcomes.accepted;
        } catch (const ConfigError& error) {
            ++outcomes.refused;
            EXPECT_LT(std::string_view(error.what()).size(), 100'000U) << "case " << index;
        } catch (const std::exception& error) {
            ADD_FAILURE() << "case " << index << ": " << error.what() << "\n" << text;
        }
    }
    EXPECT_LT(peak_memory() - before, allowed_growth);
    return outcomes;
}

const std::string nested_repeats =
    "name = \"n\"\ninput = [8, 8, 3]\nclasses = 5\n[[layer]]\ntype = \"repeat\"\nname = \"a\"\ncount = 3\n"
    "[[layer.layer]]\ntype = \"repeat\"\nname = \"b\"\ncount = 2\n[[layer.layer.layer]]\ntype = \"conv2d\"\n"
    "name = \"c\"\nout_channels = 3\nkernel = [3, 3]\npadding = [1, 1]\ndilation = 1\ngroups = 3\n"
    "[[layer.layer.layer]]\ntype = \"add\"\ninputs = [\"c\", \"block_input\"]\n[[layer]]\ntype = "
    "\"average_pool2d\"\nkernel = 2\n[[layer]]\ntype = \"flatten\"\n[[layer]]\ntype = \"layer_norm\"\nname = "
    "\"ln\"\neps = 1e-6\n[[layer]]\ntype = \"gelu\"\ntanh = true\n[[layer]]\ntype = \"linear\"\nname = "
    "\"fc\"\n"
    "out_features = \"classes\"\n[[layer]]\ntype = \"mse\"\n";

TEST_P(Fuzz, ModelFiles) {
    const test::Mutations mutations({test::text_of(recipes / "residual-net.toml"), nested_repeats},
                                    {"99999999999999999999",
                                     "9223372036854775807",
                                     "-1",
                                     "0",
                                     "1e308",
                                     "nan",
                                     "inf",
                                     "1000",
                                     "4096",
                                     "1048576",
                                     "\"\"",
                                     "\"classes\"",
                                     "\"same\"",
                                     "\"repeat\"",
                                     "\"input\"",
                                     "\"block_input\"",
                                     "[",
                                     "]",
                                     "[[",
                                     "{",
                                     "}",
                                     "\"",
                                     "'",
                                     "\"\"\"",
                                     "\\",
                                     "#",
                                     ".",
                                     "a.b.c.d",
                                     "\n[[layer]]\n",
                                     "\n[[layer.layer]]\n",
                                     "type = \"repeat\"\n",
                                     "count = 1000\n",
                                     "true",
                                     "1979-05-27",
                                     "0x7fffffff",
                                     "\xff\xfe",
                                     "\xe2\x82"});
    ModelSpec spec;
    spec.data = ModelData{"datasets/d", Shape{8, 8, 3}, "class", Shape{}, 10};
    ModelSpec alone;
    std::int64_t turn = 0;
    const Outcomes outcomes = fuzz(mutations, GetParam(), [&](const std::string& text) {
        (void)model_from_toml(text, "net.toml", ++turn % 2 == 0 ? spec : alone);
    });
    EXPECT_GT(outcomes.accepted, 100);
    EXPECT_GT(outcomes.refused, 1000);
}

TEST_P(Fuzz, JobFiles) {
    const std::filesystem::path file =
        std::filesystem::path(testing::TempDir()) / ("fuzz_" + std::to_string(::getpid()) + ".cfg");
    const test::Mutations mutations(
        {test::text_of(recipes / "lenet-mnist.cfg"), test::text_of(recipes / "resnet50.cfg")},
        {"99999999999999999999",
         "-1",
         "0",
         "1e308",
         "nan",
         "inf",
         "[",
         "]",
         "[]",
         "[job]",
         "[.]",
         "=",
         "#",
         ".",
         "*",
         "\n[optimizer.x]\n",
         "match = *\n",
         "lr = 0\n",
         "x",
         ",",
         "model.file = .\n",
         "\xff",
         "--",
         "28x28",
         "1x1x1x1x1x1x1x1x1",
         "true",
         "4G",
         "auto"});
    const Outcomes outcomes = fuzz(mutations, GetParam(), [&](const std::string& text) {
        std::filesystem::remove(file);  // a file that is cut short and written again waits for the disk
        std::ofstream(file, std::ios::binary) << text;
        (void)load_job(file, {});
    });
    std::filesystem::remove(file);
    EXPECT_GT(outcomes.accepted, 100);
    EXPECT_GT(outcomes.refused, 1000);
}

INSTANTIATE_TEST_SUITE_P(Shards, Fuzz, testing::Range(0, test::fuzz_shards()));

}  // namespace
}  // namespace trireme::jobs
