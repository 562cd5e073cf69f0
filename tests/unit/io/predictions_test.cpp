#include "io/predictions.hpp"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::io {
namespace {

using test::TemporaryFolder;
namespace fs = std::filesystem;

/// Writes `rows` rows of 2 outputs by `ranks` ranks and returns the bytes of the joined file.
std::string written(const fs::path& out, std::int64_t rows, int ranks, bool has_class = true) {
    fs::create_directories(prediction_parts(out));
    for (int rank = 0; rank < ranks; ++rank) {
        PredictionPart part(out, rank, 2);
        const IndexRange mine = even_piece(rows, ranks, rank);
        for (std::int64_t i = mine.begin; i < mine.end; ++i) {
            const float half = 0.5F * static_cast<float>(i);
            const float outputs[] = {half, 0.1F};
            part.add({i, static_cast<std::int32_t>(i % 3), outputs});
        }
        part.finish();
    }
    join_predictions(out, {rows, 2, has_class ? "probability" : "output", has_class, {{"split", "test"}}},
                     ranks);
    EXPECT_FALSE(fs::exists(prediction_parts(out)));
    return read_text_file(out, 1 << 30);
}

TEST(Predictions, CsvRowsInInputOrderOnAnyRankCount) {
    const TemporaryFolder folder;
    const std::string first = written(folder / "a.csv", 3, 1);
    EXPECT_EQ(first, "sample,predicted,probability_0,probability_1\n0,0,0,0.1\n1,1,0.5,0.1\n2,2,1,0.1\n");
    EXPECT_EQ(written(folder / "b.csv", 3, 5), first) << "two ranks have no rows";
    EXPECT_EQ(written(folder / "c.csv", 2, 1, false), "sample,output_0,output_1\n0,0,0.1\n1,0.5,0.1\n");
}

TEST(Predictions, Hdf5IsTheSameFileOnAnyRankCount) {
    const TemporaryFolder folder;
    constexpr std::int64_t rows = 200'000;  // more than a buffer holds
    const std::string first = written(folder / "a.h5", rows, 1);
    EXPECT_EQ(written(folder / "b.h5", rows, 3), first);
    // The last row of the outputs, which are stored last and as they are.
    std::vector<float> outputs(2);
    const std::size_t bytes = outputs.size() * sizeof(float);
    std::memcpy(outputs.data(), first.data() + first.size() - bytes, bytes);
    EXPECT_FLOAT_EQ(outputs[0], 0.5F * (rows - 1));
    EXPECT_FLOAT_EQ(outputs[1], 0.1F);
}

TEST(Predictions, MissingRowsAndOtherNames) {
    const TemporaryFolder folder;
    fs::create_directories(prediction_parts(folder / "a.csv"));
    PredictionPart(folder / "a.csv", 0, 2).finish();
    EXPECT_THROW(join_predictions(folder / "a.csv", {4, 2, "output", false, {}}, 1), DataError);
    EXPECT_FALSE(fs::exists(folder / "a.csv"));
    EXPECT_THROW(require_prediction_name("a.txt"), ConfigError);
    require_prediction_name("a.h5");
}

}  // namespace
}  // namespace trireme::io
