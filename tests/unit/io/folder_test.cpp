// A folder of images as users have them, imported with all of its ugliness told.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/image/image.hpp"
#include "io/import/folder_source.hpp"
#include "io/posix_file.hpp"
#include "io/targets.hpp"
#include "io/verify.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/support/said.hpp"
#include "tests/unit/io/image_files.hpp"
#include "tests/unit/io/team.hpp"

namespace trireme::io {
namespace {

using test::make_jpeg;
using test::make_png;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class Folder : public ::testing::Test {
  protected:
    /// Every kind of file at once, of several sizes; two of them bad.
    void make_ugly() const {
        test::put(at("cat/1.jpg"), make_jpeg(40, 50));
        test::put(at("cat/grey.jpg"), make_jpeg(33, 33, {.colours = JCS_GRAYSCALE, .components = 1}));
        test::put(at("cat/cmyk.JPG"), make_jpeg(64, 48, {.colours = JCS_CMYK, .components = 4}));
        test::put(at("cat/deep/turned.jpeg"), make_jpeg(30, 60, {.orientation = 6}));
        test::put(at("dog/a.png"), make_png(28, 28));
        test::put(at("dog/b.png"), make_png(50, 20, {.colour_type = PNG_COLOR_TYPE_RGB_ALPHA, .bits = 16}));
        test::put(at("dog/c.jpg"),
                  make_png(31, 29, {.colour_type = PNG_COLOR_TYPE_GRAY, .interlaced = true}));
        test::put(at("dog/truncated.jpg"), make_jpeg(40, 40).substr(0, 700));
        test::put(at("dog/notes.txt"), "the dogs of 2019");
        test::put(at("dog/.DS_Store"), "hidden files are passed over");
        test::put(at("readme.txt"), "files beside the folders too");
    }
    [[nodiscard]] fs::path at(const std::string& name) const { return folder_ / ("set/" + name); }

    [[nodiscard]] std::string opening(const FolderOptions& options) const {
        try {
            const FolderSource source(at(""), options, ImportTeam::alone());
        } catch (const Error& error) {
            return fmt::format("{}: {}", name_of(error.error_class()), error.what());
        }
        return "nothing was thrown";
    }
    TemporaryFolder folder_;
};

TEST_F(Folder, AnUglyOneIsImportedWithAllTold) {
    make_ugly();
    const FolderSource source(at(""), {ImageSize{32, 24}, true, "mine"}, ImportTeam::alone());
    EXPECT_THAT(source.skipped(),
                ElementsAre(HasSubstr("dog/notes.txt: is neither a JPEG nor a PNG image"),
                            HasSubstr("dog/truncated.jpg: cannot be decoded as JPEG: Premature end")));
    EXPECT_THAT(source.class_names(), ElementsAre("cat", "dog"));
    EXPECT_EQ(source.sample_shape(), (Shape{32, 24, 3}));
    EXPECT_EQ(source.description(), "folder:set (2 bad files left out)");
    ASSERT_EQ(source.parts().size(), 1u);
    ASSERT_EQ(source.parts()[0].samples, 7);
    std::vector<std::byte> x(32 * 24 * 3);
    std::vector<std::byte> y(4);
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < 7; ++i) {
        source.read(0, i, x, y);
        labels.push_back(class_of(y));
        EXPECT_EQ(source.label(0, i), labels.back());
    }
    EXPECT_THAT(labels, ElementsAre(0, 0, 0, 0, 1, 1, 1));
    // The turned one is the fourth: as it comes from decode_image, fitted.
    const std::string file = read_text_file(at("cat/deep/turned.jpeg"), 1 << 20);
    const Image turned = fitted(decode_image(std::as_bytes(std::span(file)), "t"), 32, 24);
    source.read(0, 2, x, y);
    EXPECT_EQ(std::memcmp(x.data(), turned.pixels.data(), x.size()), 0);
}

TEST_F(Folder, SameBytesByOneAndByThreeRanks) {
    make_ugly();
    for (int i = 0; i < 40; ++i) test::put(at(fmt::format("dog/more{}.jpg", i)), make_jpeg(20 + i, 70 - i));
    for (const int ranks : {1, 3}) {
        test::Meeting meeting(ranks);
        std::vector<std::string> errors(static_cast<std::size_t>(ranks));
        std::vector<std::thread> threads;
        for (int rank = 0; rank < ranks; ++rank) {
            threads.emplace_back([&, rank] {
                ImportTeam team{rank, ranks, [&, rank](std::string text) {
                                    return meeting.gather(rank, std::move(text));
                                }};
                team.threads = ranks == 1 ? 3 : 2;
                try {
                    const FolderSource source(at(""), {ImageSize{16, 16}, true, "mine"}, team);
                    EXPECT_EQ(source.skipped().size(), 2u);
                    ImportOptions options{3, parse_split("train=0.5,val=0.5"), 1, true, true};
                    static_cast<void>(
                        import_data_set(source, folder_ / fmt::format("by{}", ranks), options, team));
                } catch (const std::exception& error) {
                    errors[static_cast<std::size_t>(rank)] = error.what();
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        for (const std::string& error : errors) ASSERT_EQ(error, "");
    }
    EXPECT_TRUE(verify_data_set(folder_ / "by3").good());
    for (int shard = 0; shard < 3; ++shard) {
        const std::string name = shard_file_name(shard, 3);
        EXPECT_EQ(read_text_file(folder_ / ("by1/" + name), 1 << 30),
                  read_text_file(folder_ / ("by3/" + name), 1 << 30));
    }
}

TEST_F(Folder, TheFirstBadFileEndsTheImportWithoutSkipBad) {
    make_ugly();
    const std::string said = opening({ImageSize{32, 32}, false, ""});
    EXPECT_THAT(said, HasSubstr("DataError: " + at("dog/notes.txt").string() +
                                ": is neither a JPEG nor a PNG image"));
    EXPECT_THAT(said, HasSubstr("leave such files out with --skip-bad"));
    // What only decoding shows is told when the file is read.
    fs::remove(at("dog/notes.txt"));
    const FolderSource source(at(""), {ImageSize{32, 32}, false, ""}, ImportTeam::alone());
    try {
        static_cast<void>(import_data_set(source, folder_ / "out", {1, {}, 0, false}));
        FAIL() << "a truncated file";
    } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr("dog/truncated.jpg: cannot be decoded as JPEG: Premature end"));
        EXPECT_THAT(error.what(), HasSubstr("--skip-bad"));
    }
    EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(Folder, OneSizeOrTheFirstThatDiffersIsNamed) {
    for (int i = 0; i < 4; ++i) test::put(at(fmt::format("a/{}.png", i)), make_png(10, 12));
    test::put(at("b/x.jpg"), make_jpeg(12, 10, {.orientation = 6}));
    EXPECT_EQ(FolderSource(at(""), {}, ImportTeam::alone()).sample_shape(), (Shape{10, 12, 3}));
    test::put(at("b/y.jpg"), make_jpeg(12, 10));
    const std::string said = opening({});
    EXPECT_THAT(said, HasSubstr("b/y.jpg: is 12x10, but "));
    EXPECT_THAT(said, HasSubstr("a/0.png is 10x12 (height x width)"));
    EXPECT_THAT(said, HasSubstr("give --size HxW"));
}

TEST_F(Folder, GreyWhereAllAreGrey) {
    test::put(at("a/1.png"), make_png(8, 8, {.colour_type = PNG_COLOR_TYPE_GRAY}));
    test::put(at("b/2.jpg"), make_jpeg(8, 8, {.colours = JCS_GRAYSCALE, .components = 1}));
    EXPECT_EQ(FolderSource(at(""), {}, ImportTeam::alone()).sample_shape(), (Shape{8, 8, 1}));
    test::put(at("b/3.jpg"), make_jpeg(8, 8));
    EXPECT_EQ(FolderSource(at(""), {}, ImportTeam::alone()).sample_shape(), (Shape{8, 8, 3}));
}

TEST_F(Folder, ItsOwnSplitsAreKept) {
    for (const char* name :
         {"train/a/1.png", "train/b/1.png", "train/b/2.png", "val/b/1.png", "test/a/1.png"})
        test::put(at(name), make_png(8, 8));
    const FolderSource source(at(""), {}, ImportTeam::alone());
    const DataSetInfo info = import_data_set(source, folder_ / "out", {1, {}, 0, false});
    EXPECT_EQ(info.split("train").samples, 3);
    EXPECT_EQ(info.split("val").samples, 1);
    EXPECT_EQ(info.split("test").samples, 1);
    EXPECT_EQ(source.label(1, 0), 1);
    test::put(at("val/zebra/1.png"), make_png(8, 8));
    EXPECT_THAT(opening({}), HasSubstr("val/zebra: is a class that"));
}

TEST_F(Folder, MistakesAreNamed) {
    EXPECT_THAT(opening({}), HasSubstr("DataError: "));
    EXPECT_THAT(opening({}), HasSubstr("there is no such folder"));
    test::put(at("1.jpg"), make_jpeg(8, 8));
    EXPECT_THAT(opening({}), HasSubstr("has no images in folders of their classes"));
    test::put(at("a/1.txt"), "text");
    EXPECT_THAT(opening({{}, true, ""}), HasSubstr("none of its 1 files is an image"));
}

}  // namespace
}  // namespace trireme::io
