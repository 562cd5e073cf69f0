#include "io/doctor.hpp"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/import/import.hpp"
#include "io/posix_file.hpp"
#include "io/shard_format.hpp"
#include "io/targets.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::io {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
using Status = DataFinding::Status;

/// Noise in 4 classes; a test changes what it wants of it.
class NoiseSource final : public ImportSource {
  public:
    std::function<std::int32_t(std::int64_t)> label_of = [](std::int64_t i) {
        return static_cast<std::int32_t>(i % 4);
    };
    std::function<void(std::size_t, std::int64_t, std::span<float>)> change = [](auto...) {};
    Shape shape{8};
    std::int64_t train = 400;
    std::int64_t test = 40;

    [[nodiscard]] std::string description() const override { return "noise"; }
    [[nodiscard]] std::string licence() const override { return "none"; }
    [[nodiscard]] Shape sample_shape() const override { return shape; }
    [[nodiscard]] DType dtype() const override { return DType::f32; }
    [[nodiscard]] std::int64_t classes() const override { return 4; }
    [[nodiscard]] std::vector<std::string> class_names() const override {
        return {"ant", "bee", "cow", "dog"};
    }
    [[nodiscard]] std::vector<SourcePart> parts() const override {
        return {{"train", train}, {"test", test}};
    }
    [[nodiscard]] std::int32_t label(std::size_t, std::int64_t index) const override {
        return label_of(index);
    }
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override {
        std::vector<float> values(x.size() / 4);
        const RandomStream noise(1, part == 0 ? "train" : "test", static_cast<std::uint64_t>(index));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = noise.uniform(i);
        change(part, index, values);
        std::memcpy(x.data(), values.data(), x.size());
        store_class(label_of(index), target);
    }
};

class DataDoctor : public ::testing::Test {
  protected:
    DoctorReport examine(bool deflate = false, int shards = 1) {
        info_ = import_data_set(source_, folder_ / "set", {shards, {}, 2, deflate});
        return examine_data_set(folder_ / "set");
    }
    /// All findings of a check, joined.
    static std::string told(const DoctorReport& report, const std::string& check) {
        std::string text;
        for (const DataFinding& finding : report.findings) {
            if (finding.check != check) continue;
            text += finding.what + " | " + finding.remedy + "\n";
            EXPECT_EQ(finding.status == Status::good, finding.remedy.empty()) << text;
        }
        return text;
    }
    NoiseSource source_;
    TemporaryFolder folder_;
    DataSetInfo info_;
};

TEST_F(DataDoctor, AGoodSetHasOneGoodLineACheck) {
    const DoctorReport report = examine();
    EXPECT_EQ(report.worst(), Status::good) << report.text();
    EXPECT_EQ(report.findings.size(), 5u);
    EXPECT_THAT(report.text(), HasSubstr("good  class balance   100 to 100 training samples a class"));
    EXPECT_THAT(report.json(), HasSubstr("\"worst\": \"good\""));
}

TEST_F(DataDoctor, UnevenAndAbsentClasses) {
    source_.label_of = [](std::int64_t i) { return i < 380 ? 1 : i < 390 ? 0 : 3; };
    const DoctorReport report = examine();
    const std::string told_of = told(report, "class balance");
    EXPECT_THAT(told_of, HasSubstr("no training sample of class 2 (cow)"));
    EXPECT_THAT(told_of, HasSubstr("class 1 (bee) has 380 training samples and class 0 (ant) has 10"));
    EXPECT_EQ(report.worst(), Status::warn);
}

TEST_F(DataDoctor, DuplicatesAcrossAndWithinSplits) {
    source_.change = [](std::size_t part, std::int64_t index, std::span<float> x) {
        const bool shared = index < 3;                  // three samples of train are test samples too
        const bool copied = part == 0 && index >= 390;  // ten of train are one another's copies
        if (!shared && !copied) return;
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<float>(i) + (shared ? static_cast<float>(index) * 10 : 500);
    };
    const std::string told_of = told(examine(), "duplicates");
    EXPECT_THAT(told_of, HasSubstr("3 samples are in more than one split, byte for byte (test sample "));
    EXPECT_THAT(told_of, HasSubstr("9 samples are copies of others of their split (train sample "));
}

TEST_F(DataDoctor, NanBlankAndConstantInputs) {
    source_.change = [](std::size_t part, std::int64_t index, std::span<float> x) {
        x[6] = 3;
        if (part == 0 && index == 5) x[1] = NAN;
        if (part == 1 && index == 7) x[2] = INFINITY;
        if (part == 0 && index == 9) std::fill(x.begin(), x.end(), 3.f);
    };
    const DoctorReport report = examine();
    const std::string told_of = told(report, "inputs");
    EXPECT_THAT(told_of, HasSubstr("2 samples have NaN or infinity in them; the first is test sample"));
    EXPECT_THAT(told_of,
                HasSubstr("1 samples have one value in all their elements; the first is train sample"));
    EXPECT_THAT(told_of, HasSubstr("1 of 8 features never change in the train split: feature 6"));
    EXPECT_EQ(report.worst(), Status::bad);
}

TEST_F(DataDoctor, UnsuitableBlocks) {
    EXPECT_THAT(told(examine(true, 3), "blocks"), HasSubstr("the train split has 1 blocks in 3 files"));
    std::filesystem::remove_all(folder_ / "set");
    source_.shape = Shape{1200, 1000};
    source_.train = 8;
    source_.test = 0;
    EXPECT_THAT(told(examine(), "blocks"), HasSubstr("a block is one sample of 4.6 MiB"));
    std::filesystem::remove_all(folder_ / "set");
    // Bytes of noise cannot be compressed.
    source_.shape = Shape{4096};
    source_.change = [](std::size_t, std::int64_t index, std::span<float> x) {
        const RandomStream noise(4, "bits", static_cast<std::uint64_t>(index));
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::uint32_t bits = static_cast<std::uint32_t>(noise.bits(i)) & 0xbfffffffU;
            std::memcpy(&x[i], &bits, 4);
        }
    };
    source_.train = 320;
    EXPECT_THAT(told(examine(true), "blocks"), HasSubstr("compression saves 0."));
}

TEST_F(DataDoctor, ADamagedBlockIsAFindingAndTheRestIsExamined) {
    source_.shape = Shape{2048};
    static_cast<void>(examine());
    const StoredBlock block = read_block_index(info_.shard_path(0), "train", info_.fingerprint).at(1);
    const std::byte spoiled{0x5a};
    PosixFile(info_.shard_path(0), PosixFile::Mode::write).write_at({&spoiled, 1}, block.x_offset + 10);
    const DoctorReport report = examine_data_set(folder_ / "set");
    EXPECT_EQ(report.worst(), Status::bad);
    EXPECT_THAT(told(report, "damage"), HasSubstr("1 blocks cannot be read; the first: "));
    EXPECT_THAT(told(report, "duplicates"), HasSubstr("none among 376 samples"));
}

}  // namespace
}  // namespace trireme::io
