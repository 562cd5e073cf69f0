// Text helpers, shapes as text, digests and error classes: what messages, hashes and exit codes are made of.
#include "runtime/core/text.hpp"

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/digest.hpp"
#include "runtime/core/dtype.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/shape.hpp"

namespace trireme {
namespace {

using testing::ElementsAre;

TEST(Text, BytesForPeople) {
    EXPECT_EQ(human_bytes(Bytes(0)), "0 B");
    EXPECT_EQ(human_bytes(Bytes(1023)), "1023 B");
    EXPECT_EQ(human_bytes(Bytes(1024)), "1.0 KiB");
    EXPECT_EQ(human_bytes(Bytes(3 * 1024 * 1024 / 2)), "1.5 MiB");
    EXPECT_EQ(human_bytes(Bytes(std::int64_t{5} << 40)), "5.0 TiB");
    EXPECT_EQ(human_bytes(Bytes(std::int64_t{5} << 50)), "5120.0 TiB");
}

TEST(Text, NumbersAreWholeTexts) {
    EXPECT_EQ(parse_integer("-42"), -42);
    EXPECT_EQ(parse_integer("9223372036854775807"), INT64_MAX);
    for (const char* none : {"", " 1", "1 ", "+1", "1.0", "0x1", "9223372036854775808", "one"})
        EXPECT_FALSE(parse_integer(none)) << none;
    EXPECT_EQ(parse_number("-1.5e3"), -1500.0);
    EXPECT_EQ(parse_number(".5"), 0.5);
    for (const char* none : {"", " 1", "1 ", "1e999", "nan", "inf", "-inf", "1,5"})
        EXPECT_FALSE(parse_number(none)) << none;
}

TEST(Text, NearestFindsWhatWasMeant) {
    const std::vector<std::string> known{"optimizer.lr", "optimizer.momentum", "data.batch", "data.path"};
    EXPECT_EQ(nearest("optimizer.momentun", known), "optimizer.momentum");
    EXPECT_EQ(nearest("data.bacth", known), "data.batch");
    EXPECT_EQ(nearest("data.path", known), "data.path");
    EXPECT_EQ(nearest("zzzzzzzzzz", known), "");
    EXPECT_EQ(nearest("lr", known), "");
    EXPECT_EQ(nearest("x", {}), "");
    // Two letters left out or put in are one step each.
    const std::vector<std::string> longer{"lrxx"};
    const std::vector<std::string> shorter{"lr"};
    EXPECT_EQ(nearest("lr", longer), "lrxx");
    EXPECT_EQ(nearest("lrxx", shorter), "lr");
    EXPECT_EQ(nearest("lrxxx", shorter), "");
    EXPECT_EQ(did_you_mean("data.bach", known), " (did you mean data.batch?)");
    EXPECT_EQ(did_you_mean("zzzzzzzzzz", known), "");
}

TEST(Text, SplitKeepsEmptyPieces) {
    EXPECT_THAT(split("a,b", ','), ElementsAre("a", "b"));
    EXPECT_THAT(split(",a,,b,", ','), ElementsAre("", "a", "", "b", ""));
    EXPECT_THAT(split("abc", ','), ElementsAre("abc"));
    EXPECT_TRUE(split("", ',').empty());
}

TEST(Text, TrimTakesBlanksOffBothEnds) {
    EXPECT_EQ(trim("  a b\t\r\n"), "a b");
    EXPECT_EQ(trim(" \n"), "");
    EXPECT_EQ(trim(""), "");
    EXPECT_EQ(trim("a"), "a");
}

TEST(Shape, CountsAndPrints) {
    EXPECT_EQ((Shape{28, 28, 1}).str(), "[28, 28, 1]");
    EXPECT_EQ(Shape{}.str(), "[]");
    EXPECT_EQ((Shape{4, 5, 6}).elements(), Elements(120));
    EXPECT_EQ(Shape{}.elements(), Elements(1));
    EXPECT_EQ((Shape{4, 0}).elements(), Elements(0));
    EXPECT_THROW(static_cast<void>((Shape{4})[1]), std::out_of_range);
}

TEST(DType, SizesAndNames) {
    EXPECT_EQ(bytes_of(Elements(3), DType::f64), Bytes(24));
    EXPECT_EQ(bytes_of(Elements(3), DType::u8), Bytes(3));
    EXPECT_EQ(size_of(DType::bf16), 2);
    EXPECT_EQ(name_of(DType::i32), "i32");
}

TEST(Error, ClassesHaveNamesAndExitCodes) {
    const std::vector<std::pair<ErrorClass, std::pair<std::string, int>>> fixed{
        {ErrorClass::config, {"ConfigError", 2}},       {ErrorClass::data, {"DataError", 3}},
        {ErrorClass::device, {"DeviceError", 4}},       {ErrorClass::comm_timeout, {"CommTimeout", 5}},
        {ErrorClass::peer_lost, {"PeerLost", 6}},       {ErrorClass::numeric, {"NumericError", 7}},
        {ErrorClass::integrity, {"IntegrityError", 9}}, {ErrorClass::internal, {"InternalError", 70}}};
    for (const auto& [cls, row] : fixed) {
        EXPECT_EQ(name_of(cls), row.first);
        EXPECT_EQ(exit_code_of(cls), row.second);
    }
    EXPECT_EQ(exit_code_requeue, 8);
}

TEST(Error, CarriesItsClassAndMessage) {
    try {
        throw DataError("shard-03.h5: block 17");
    } catch (const Error& error) {
        EXPECT_EQ(error.error_class(), ErrorClass::data);
        EXPECT_EQ(error.exit_code(), 3);
        EXPECT_STREQ(error.what(), "shard-03.h5: block 17");
    }
    EXPECT_NO_THROW(ensure(true, "fine"));
    EXPECT_THROW(ensure(false, "not fine"), InternalError);
}

TEST(Digest, Sha256KnownAnswers) {
    Sha256 abc;
    abc.update("a");
    abc.update("bc");
    EXPECT_EQ(abc.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Sha256 nothing;
    EXPECT_EQ(nothing.finish(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, Xxh3DependsOnEveryByteAndTheSeed) {
    EXPECT_EQ(hex64(xxh3("")), "2d06800538d394c2");  // the published value of XXH3 64 of nothing
    std::string text(1000, 'x');
    std::set<std::uint64_t> seen{xxh3(text), xxh3(text.data(), text.size(), 1)};
    for (std::size_t i = 0; i < text.size(); ++i) {
        text[i] = 'y';
        seen.insert(xxh3(text));
        text[i] = 'x';
    }
    EXPECT_EQ(seen.size(), 1002u);
    EXPECT_EQ(hex64(0xab), "00000000000000ab");
}

}  // namespace
}  // namespace trireme
