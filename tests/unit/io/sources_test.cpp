// CIFAR-10's binary files, made-up sets, and other people's HDF5 files.
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/hdf5/file.hpp"
#include "io/import/cifar10_source.hpp"
#include "io/import/hdf5_source.hpp"
#include "io/import/import.hpp"
#include "io/import/synthetic_source.hpp"
#include "io/posix_file.hpp"
#include "io/targets.hpp"
#include "io/verify.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/support/said.hpp"
#include "tests/unit/io/team.hpp"

namespace trireme::io {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class Cifar : public ::testing::Test {
  protected:
    static char pixel(int file, int record, int i) {
        return static_cast<char>(file * 50 + record * 7 + i % 199);
    }
    static std::string records(int file, int count) {
        std::string bytes;
        for (int r = 0; r < count; ++r) {
            bytes += static_cast<char>((file + r) % 10);
            for (int i = 0; i < 3072; ++i) bytes += pixel(file, r, i);
        }
        return bytes;
    }
    void SetUp() override {
        for (int f = 1; f <= 5; ++f)
            test::put(folder_ / fmt::format("data_batch_{}.bin", f), records(f, 10 + f));
        test::put(folder_ / "test_batch.bin", records(0, 4));
    }
    [[nodiscard]] std::string said() const {
        return test::error_of([&] {
            const Cifar10Source source(folder_.path());
            for (std::int64_t i = 0; i < source.parts()[0].samples; ++i)
                static_cast<void>(source.label(0, i));
            return 0;
        });
    }
    TemporaryFolder folder_;
};

TEST_F(Cifar, RecordsBecomeHeightWidthChannels) {
    test::put(folder_ / "batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    const Cifar10Source source(folder_.path());
    EXPECT_EQ(source.sample_shape(), (Shape{32, 32, 3}));
    EXPECT_EQ(source.class_names().at(9), "j");
    ASSERT_EQ(source.parts().size(), 2u);
    EXPECT_EQ(source.parts()[0].samples, 65);
    std::vector<std::byte> x(3072);
    std::vector<std::byte> y(4);
    source.read(0, 11 + 12 + 5, x, y);  // record 5 of the third file
    EXPECT_EQ(class_of(y), 8);
    EXPECT_EQ(source.label(0, 28), 8);
    for (int p = 0; p < 1024; ++p) {
        for (int c = 0; c < 3; ++c)
            ASSERT_EQ(static_cast<char>(x[static_cast<std::size_t>(p * 3 + c)]), pixel(3, 5, c * 1024 + p));
    }
    const DataSetInfo info = import_data_set(source, folder_ / "set", {2, {}, 0, true});
    EXPECT_EQ(info.split("test").samples, 4);
    EXPECT_TRUE(verify_data_set(folder_ / "set").good());
}

TEST_F(Cifar, MistakesAreNamed) {
    EXPECT_EQ(said(), "nothing was thrown");
    test::put(folder_ / "batches.meta.txt", "a\nb\n");
    EXPECT_THAT(said(), HasSubstr("batches.meta.txt: has 2 names of classes, not 10"));
    fs::remove(folder_ / "batches.meta.txt");
    std::string bad = records(2, 12);
    bad[3073 * 4] = 10;
    test::put(folder_ / "data_batch_2.bin", bad);
    EXPECT_THAT(said(), HasSubstr("data_batch_2.bin: record 4: label 10 is outside 0 to 9"));
    test::put(folder_ / "data_batch_2.bin", bad.substr(0, 5000));
    EXPECT_THAT(said(), HasSubstr("data_batch_2.bin: has 5000 bytes, which are not whole records of 3073"));
    fs::remove(folder_ / "data_batch_2.bin");
    EXPECT_THAT(said(), HasSubstr("has no data_batch_2.bin"));
}

TEST(Synthetic, HasTheShapeOfWhatItStandsFor) {
    const SyntheticSource cifar("cifar10:5000", 0);
    EXPECT_EQ(cifar.sample_shape(), (Shape{32, 32, 3}));
    EXPECT_EQ(cifar.parts()[0].samples, 5000);
    EXPECT_EQ(cifar.parts()[1].samples, 1000);
    EXPECT_THAT(cifar.description(), HasSubstr("synthetic:cifar10:5000 (made-up images, seed 0)"));
    EXPECT_EQ(SyntheticSource("imagenet:10", 0).sample_shape(), (Shape{224, 224, 3}));
    EXPECT_EQ(SyntheticSource("imagenet:10", 0).classes(), 1000);
    EXPECT_EQ(SyntheticSource("imagenet:10", 0, ImageSize{64, 48}).sample_shape(), (Shape{64, 48, 3}));
    EXPECT_EQ(SyntheticSource("mnist", 0).parts()[0].samples, 60'000);
    EXPECT_THAT(test::error_of([] { return SyntheticSource("cifer10", 0); }),
                HasSubstr("did you mean cifar10"));
    for (const char* text : {"mnist:0", "mnist:", "mnist:many", "mnist:5:6", "mnist:-3", ""})
        EXPECT_THAT(test::error_of([&] { return SyntheticSource(text, 0); }), HasSubstr("ConfigError"))
            << text;
}

TEST(Synthetic, IsSeededAndCanBeLearned) {
    const SyntheticSource source("cifar10:600", 3);
    const auto sample = [](const SyntheticSource& from, std::size_t part, std::int64_t index) {
        std::vector<std::byte> x(3072);
        std::vector<std::byte> y(4);
        from.read(part, index, x, y);
        return std::pair(std::vector<double>(), std::pair(x, class_of(y)));
    };
    EXPECT_EQ(sample(source, 0, 5), sample(SyntheticSource("cifar10:99", 3), 0, 5));
    EXPECT_NE(sample(source, 0, 5), sample(SyntheticSource("cifar10:600", 4), 0, 5));
    EXPECT_NE(sample(source, 0, 5), sample(source, 1, 5));
    // The nearest mean of a class, of the train part, tells most of the test part.
    std::vector<std::vector<double>> means(10, std::vector<double>(3072));
    std::vector<double> counts(10);
    for (std::int64_t i = 0; i < 600; ++i) {
        const auto [x, label] = sample(source, 0, i).second;
        const auto c = static_cast<std::size_t>(label);
        counts[c] += 1;
        for (std::size_t e = 0; e < x.size(); ++e) means[c][e] += std::to_integer<int>(x[e]);
    }
    int right = 0;
    for (std::int64_t i = 0; i < 120; ++i) {
        const auto [x, label] = sample(source, 1, i).second;
        double best = 1e300;
        std::size_t nearest = 0;
        for (std::size_t c = 0; c < 10; ++c) {
            double distance = 0;
            for (std::size_t e = 0; e < x.size(); ++e) {
                const double d = std::to_integer<int>(x[e]) - means[c][e] / counts[c];
                distance += d * d;
            }
            if (distance < best) best = distance, nearest = c;
        }
        right += nearest == static_cast<std::size_t>(label) ? 1 : 0;
    }
    EXPECT_GT(right, 100);
}

class Foreign : public ::testing::Test {
  protected:
    /// Writes a data set of rows; chunked (and deflated) where `chunk` is not 0.
    template <class T>
    void put_rows(hdf5::File& file, const std::string& name, DType dtype, std::vector<std::int64_t> dims,
                  const std::vector<T>& values, std::int64_t chunk) const {
        if (chunk == 0) {
            const hdf5::Dataset set = file.create_contiguous(name, dtype, Shape(dims));
            offsets_.emplace_back(
                set.contiguous_offset(),
                std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
            return;
        }
        const Shape row(std::vector<std::int64_t>(dims.begin() + 1, dims.end()));
        const hdf5::Dataset set = file.create_chunked(name, {dtype, dims[0], chunk, row, true});
        const auto row_values = static_cast<std::size_t>(row.elements().value);
        std::vector<T> padded = values;
        padded.resize(static_cast<std::size_t>((dims[0] + chunk - 1) / chunk * chunk) * row_values);
        for (std::int64_t c = 0; c * chunk < dims[0]; ++c) {
            const std::span<const T> part =
                std::span<const T>(padded).subspan(static_cast<std::size_t>(c * chunk) * row_values,
                                                   static_cast<std::size_t>(chunk) * row_values);
            set.write_chunk(c, std::as_bytes(part), false);
        }
    }
    template <class Fill>
    void write(Fill fill) const {
        offsets_.clear();
        {
            hdf5::File file = hdf5::File::create(path());
            fill(file);
            file.close();
        }
        const PosixFile raw(path(), PosixFile::Mode::write);
        for (const auto& [offset, bytes] : offsets_) raw.write_at(std::as_bytes(std::span(bytes)), offset);
    }
    [[nodiscard]] fs::path path() const { return folder_ / "theirs.h5"; }
    [[nodiscard]] std::string said(const std::string& x = "x", const std::string& y = "y") const {
        return test::error_of([&] { return std::make_unique<Hdf5Source>(path(), x, y); });
    }

    TemporaryFolder folder_;
    mutable std::vector<std::pair<std::int64_t, std::string>> offsets_;
};

TEST_F(Foreign, FloatsWithVectorsByOneAndThreeRanks) {
    std::vector<double> x(50 * 2 * 3);
    std::vector<float> y(50 * 4);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i) * 0.25;
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(i) * 0.5f;
    for (const std::int64_t chunk : {0, 7}) {
        write([&](hdf5::File& file) {
            file.create_group("/in");
            put_rows(file, "/in/x", DType::f64, {50, 2, 3}, x, chunk);
            put_rows(file, "/y", DType::f32, {50, 4}, y, chunk);
        });
        const Hdf5Source source(path(), "in/x", "/y");
        EXPECT_EQ(source.dtype(), DType::f32);
        EXPECT_EQ(source.sample_shape(), (Shape{2, 3}));
        EXPECT_EQ(source.target_kind(), target_float);
        EXPECT_EQ(source.target_shape(), Shape{4});
        EXPECT_EQ(source.classes(), 4);
        std::vector<float> row(6);
        std::vector<float> target(4);
        source.read(0, 33, std::as_writable_bytes(std::span(row)), std::as_writable_bytes(std::span(target)));
        EXPECT_EQ(row[5], static_cast<float>(x[33 * 6 + 5]));
        EXPECT_EQ(target[2], y[33 * 4 + 2]);
        const ImportPlan plan = plan_import(source, {2, parse_split("train=0.8,val=0.2"), 1, true});
        for (const int ranks : {1, 3}) {
            for (const std::string& error :
                 test::import_with(ranks, source, plan, folder_ / fmt::format("{}by{}", chunk, ranks)))
                ASSERT_EQ(error, "");
        }
        EXPECT_EQ(read_text_file(folder_ / fmt::format("{}by1/shard-00.h5", chunk), 1 << 20),
                  read_text_file(folder_ / fmt::format("{}by3/shard-00.h5", chunk), 1 << 20));
    }
    EXPECT_EQ(open_data_set(folder_ / "0by1").fingerprint, open_data_set(folder_ / "7by1").fingerprint);
}

TEST_F(Foreign, IntegersAreClassesOrVectorsOfTruths) {
    const std::vector<std::uint8_t> x(6 * 4, 9);
    write([&](hdf5::File& file) {
        put_rows(file, "/x", DType::u8, {6, 4}, x, 0);
        put_rows(file, "/y", DType::i64, {6}, std::vector<std::int64_t>{2, 0, 1, 1, 0, 2}, 4);
        put_rows(file, "/truths", DType::u8, {6, 2},
                 std::vector<std::uint8_t>{1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0}, 0);
        put_rows(file, "/one", DType::f32, {6}, std::vector<float>{1, 2, 3, 4, 5, 6}, 0);
        put_rows(file, "/line", DType::f32, {6}, std::vector<float>{1, 2, 3, 4, 5, 6}, 0);
    });
    const Hdf5Source classes(path(), "x", "y");
    EXPECT_EQ(classes.target_kind(), target_class);
    EXPECT_EQ(classes.classes(), 3);
    EXPECT_EQ(classes.dtype(), DType::u8);
    EXPECT_EQ(classes.label(0, 5), 2);
    const Hdf5Source truths(path(), "x", "truths");
    EXPECT_EQ(truths.target_kind(), target_multi_hot);
    std::vector<std::byte> row(4);
    std::vector<std::byte> target(2);
    truths.read(0, 3, row, target);
    EXPECT_EQ(target, (std::vector{std::byte{0}, std::byte{1}}));
    const Hdf5Source line(path(), "line", "one");
    EXPECT_EQ(line.sample_shape(), Shape{1});
    EXPECT_EQ(line.target_shape(), Shape{1});
}

TEST_F(Foreign, MistakesAreNamed) {
    const std::vector<std::uint8_t> x(6 * 4, 9);
    write([&](hdf5::File& file) {
        put_rows(file, "/x", DType::u8, {6, 4}, x, 0);
        put_rows(file, "/y", DType::i32, {6}, std::vector<std::int32_t>{1, 2, 3, 1, 2, 3}, 0);
        put_rows(file, "/negative", DType::i32, {6}, std::vector<std::int32_t>{0, 1, -1, 1, 0, 0}, 0);
        put_rows(file, "/short", DType::i32, {5}, std::vector<std::int32_t>{0, 1, 0, 1, 0}, 0);
        put_rows(file, "/pairs", DType::i32, {6, 2},
                 std::vector<std::int32_t>{0, 1, 0, 1, 0, 5, 0, 1, 0, 1, 1, 0}, 0);
        put_rows(file, "/cube", DType::f32, {6, 1, 2}, std::vector<float>(12), 0);
        put_rows(file, "/nan", DType::f32, {6}, std::vector<float>{1, 2, NAN, 4, 5, 6}, 0);
    });
    EXPECT_THAT(said(), HasSubstr("theirs.h5: /y: label 0 never occurs, but labels go up to 3"));
    EXPECT_THAT(said("x", "negative"), HasSubstr("/negative: row 2: -1 is no class"));
    EXPECT_THAT(said("x", "short"), HasSubstr("/x has 6 rows and /short has 5"));
    EXPECT_THAT(said("x", "pairs"), HasSubstr("/pairs: row 2, element 1: 5 is neither 0 nor 1"));
    EXPECT_THAT(said("x", "cube"),
                HasSubstr("/cube: has targets [1, 2]: a target is one number, or a vector"));
    EXPECT_THAT(said("y", "short"), HasSubstr("has 6 rows"));
    EXPECT_THAT(said("y", "pairs"), HasSubstr("/y: has integers that are not uint8"));
    EXPECT_THAT(said("xx", "y"), HasSubstr("has no data set /xx"));
    EXPECT_THAT(said("xx", "y"), HasSubstr("/negative, /pairs, /short"));
    EXPECT_THAT(said("", "y"), HasSubstr("ConfigError: --source hdf5:FILE: --x is missing"));
    EXPECT_THAT(
        test::error_of([&] { return import_data_set(Hdf5Source(path(), "x", "nan"), folder_ / "out", {}); }),
        HasSubstr("train sample 2: element 0 of the target is nan"));
    test::put(path(), "not an HDF5 file");
    EXPECT_THAT(said(), HasSubstr("is not an HDF5 file at all"));
    fs::remove(path());
    EXPECT_THAT(said(), HasSubstr("there is no such file"));
}

}  // namespace
}  // namespace trireme::io
