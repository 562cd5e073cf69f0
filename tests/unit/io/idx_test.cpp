#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/import/idx_source.hpp"
#include "io/import/import.hpp"
#include "io/posix_file.hpp"
#include "io/targets.hpp"
#include "io/verify.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::io {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string idx_bytes(const std::vector<std::uint32_t>& dims, std::size_t bytes, unsigned step) {
    std::string text{'\0', '\0', '\x08', static_cast<char>(dims.size())};
    for (const std::uint32_t extent : dims) {
        for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(extent >> shift & 0xff);
    }
    for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(i * step % (step == 1 ? 10 : 251));
    return text;
}

void write_plain(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// A gzip member of one stored block (RFC 1952 and 1951), so that the test needs no compressor of its own.
std::string gzip_stored(const std::string& bytes) {
    std::uint32_t crc = 0xffffffffU;
    for (const char c : bytes) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) crc = crc & 1U ? crc >> 1 ^ 0xedb88320U : crc >> 1;
    }
    crc = ~crc;
    std::string text{'\x1f', '\x8b', '\x08', '\0', '\0', '\0', '\0', '\0', '\0', '\x03'};
    const auto put = [&](std::uint32_t value, int count) {
        for (int i = 0; i < count; ++i) text += static_cast<char>(value >> 8 * i & 0xff);
    };
    for (std::size_t at = 0; at < bytes.size() || at == 0; at += 65535) {
        const std::string piece = bytes.substr(at, 65535);
        text += static_cast<char>(at + 65535 >= bytes.size());
        put(static_cast<std::uint32_t>(piece.size()), 2);
        put(~static_cast<std::uint32_t>(piece.size()), 2);
        text += piece;
    }
    put(crc, 4);
    put(static_cast<std::uint32_t>(bytes.size()), 4);
    return text;
}

class Idx : public ::testing::Test {
  protected:
    void SetUp() override {
        write_plain(at("train-images-idx3-ubyte"), idx_bytes({20, 28, 28}, 20 * 784, 7));
        write_plain(at("train-labels-idx1-ubyte"), idx_bytes({20}, 20, 1));
        write_plain(at("t10k-images-idx3-ubyte"), idx_bytes({6, 28, 28}, 6 * 784, 5));
        write_plain(at("t10k-labels-idx1-ubyte"), idx_bytes({6}, 6, 1));
    }
    [[nodiscard]] fs::path at(const std::string& name) const { return folder_ / name; }
    [[nodiscard]] std::string opening() const {
        try {
            const IdxSource source(folder_.path());
            std::vector<std::byte> x(784);
            std::vector<std::byte> y(4);
            for (std::int64_t i = 0; i < source.parts()[0].samples; ++i) source.read(0, i, x, y);
        } catch (const DataError& error) {
            return error.what();
        }
        return "no DataError was thrown";
    }
    TemporaryFolder folder_;
};

TEST_F(Idx, ReadsPlainFiles) {
    const IdxSource source(folder_.path());
    EXPECT_EQ(source.sample_shape(), (Shape{28, 28, 1}));
    ASSERT_EQ(source.parts().size(), 2u);
    EXPECT_EQ(source.parts()[1].name, "test");
    std::vector<std::byte> x(784);
    std::vector<std::byte> y(4);
    source.read(0, 13, x, y);
    EXPECT_EQ(class_of(y), 3);
    EXPECT_EQ(source.label(0, 13), 3);
    EXPECT_EQ(std::to_integer<unsigned>(x[5]), (13 * 784 + 5) * 7 % 251);
}

TEST_F(Idx, GzippedAndPlainAreImportedToTheSameBytes) {
    static_cast<void>(import_data_set(IdxSource(folder_.path()), folder_ / "plain", {2, {}, 1, false}));
    const std::string images = idx_bytes({20, 28, 28}, 20 * 784, 7);
    // The name of the file is part of a data set's source, so the packed one takes the place of the plain
    // one.
    write_plain(at("train-images-idx3-ubyte"), gzip_stored(images));
    static_cast<void>(import_data_set(IdxSource(folder_.path()), folder_ / "packed", {2, {}, 1, false}));
    EXPECT_EQ(open_data_set(folder_ / "plain").fingerprint, open_data_set(folder_ / "packed").fingerprint);
    EXPECT_TRUE(verify_data_set(folder_ / "packed").good());
}

TEST_F(Idx, FindsGzNames) {
    const std::string labels = idx_bytes({20}, 20, 1);
    fs::remove(at("train-labels-idx1-ubyte"));
    write_plain(at("train-labels-idx1-ubyte.gz"), gzip_stored(labels));
    EXPECT_EQ(IdxSource(folder_.path()).parts()[0].samples, 20);
}

TEST_F(Idx, MistakesAreNamed) {
    write_plain(at("train-labels-idx1-ubyte"), idx_bytes({20}, 20, 1).replace(8 + 17, 1, "\x0b"));
    EXPECT_THAT(opening(), HasSubstr("train-labels-idx1-ubyte: index 17: label 11 is outside 0 to 9"));
    write_plain(at("train-labels-idx1-ubyte"), idx_bytes({19}, 19, 1));
    EXPECT_THAT(opening(), HasSubstr("they do not belong together"));
    write_plain(at("train-labels-idx1-ubyte"), idx_bytes({20}, 15, 1));
    EXPECT_THAT(opening(), HasSubstr("ends after 15 of 20 bytes"));
    write_plain(at("train-labels-idx1-ubyte"), idx_bytes({20}, 25, 1));
    EXPECT_THAT(opening(), HasSubstr("more than the 20 bytes"));
    write_plain(at("train-labels-idx1-ubyte"), idx_bytes({0x7fffffff, 0x7fffffff, 0x7fffffff}, 15, 1));
    EXPECT_THAT(opening(), HasSubstr("which cannot be"));
    write_plain(at("train-labels-idx1-ubyte"), idx_bytes({0x7fffffff}, 15, 1));
    EXPECT_THAT(opening(), HasSubstr("ends after 15 of 2147483647 bytes"));
    write_plain(at("train-labels-idx1-ubyte"), "not idx");
    EXPECT_THAT(opening(), HasSubstr("is not an IDX file"));
    write_plain(at("train-labels-idx1-ubyte"), std::string("\0\0\x0d\x01", 4));
    EXPECT_THAT(opening(), HasSubstr("element type 0x0d"));
    write_plain(at("train-labels-idx1-ubyte"), gzip_stored(idx_bytes({20}, 20, 1)).substr(0, 30));
    EXPECT_THAT(opening(), HasSubstr("train-labels-idx1-ubyte"));
    fs::remove(at("train-labels-idx1-ubyte"));
    EXPECT_THAT(opening(), HasSubstr("has no train-labels-idx1-ubyte"));
}

TEST_F(Idx, ADamagedGzipIsSeen) {
    std::string packed = gzip_stored(idx_bytes({20}, 20, 1));
    packed[30] = static_cast<char>(packed[30] ^ 1);
    write_plain(at("train-labels-idx1-ubyte"), packed);
    EXPECT_THAT(opening(), HasSubstr("the file is damaged"));
}

TEST_F(Idx, TheTestPairMayBeAbsent) {
    fs::remove(at("t10k-images-idx3-ubyte"));
    EXPECT_THAT(opening(), HasSubstr("has no t10k-images-idx3-ubyte"));
    fs::remove(at("t10k-labels-idx1-ubyte"));
    EXPECT_EQ(IdxSource(folder_.path()).parts().size(), 1u);
}

}  // namespace
}  // namespace trireme::io
