// The last line of the program, and whether the table of docs/kernels-cuda.md names the kernels that have
// run.
#include <fstream>
#include <regex>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "tests/hostrun/host_launch.hpp"

namespace trireme::hostrun {
namespace {

/// Kernels in the first column of the table.
std::set<std::string> documented() {
    std::ifstream page(TRIREME_KERNELS_PAGE);
    const std::regex row(R"(^\| `([A-Za-z0-9<>, ]+)`(, `([A-Za-z0-9<>, ]+)`)* \|.*)");
    const std::regex name(R"(`([A-Za-z0-9<>, ]+)`)");
    std::set<std::string> names;
    for (std::string line; std::getline(page, line);) {
        if (!std::regex_match(line, row)) continue;
        const std::string column = line.substr(0, line.find('|', 1));
        for (std::sregex_iterator it(column.begin(), column.end(), name), end; it != end; ++it)
            names.insert((*it)[1]);
    }
    return names;
}

class LastLine final : public ::testing::Environment {
  public:
    void TearDown() override {
        const Census& all = census();
        fmt::print("hostrun: {} kernels, {} cases\n", all.kernels.size(), all.cases);
        const auto* unit = ::testing::UnitTest::GetInstance();
        if (unit->test_to_run_count() < unit->total_test_count()) return;
        EXPECT_EQ(all.kernels, documented())
            << "the table of docs/kernels-cuda.md names the kernels; these have run:\n"
            << fmt::format("{}", fmt::join(all.kernels, "\n"));
    }
};

/// GoogleTest owns it.
[[maybe_unused]] const ::testing::Environment* const last_line =
    ::testing::AddGlobalTestEnvironment(new LastLine);

}  // namespace

}  // namespace trireme::hostrun
