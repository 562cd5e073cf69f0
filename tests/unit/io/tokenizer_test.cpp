// The BPE tokenizer against what the Hugging Face library makes of the same texts with the same file
// (tests/support/tokenizer), and what it refuses.
#include "io/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"
#include "tests/support/mutations.hpp"
#include "tests/support/tokenizer/files.hpp"

namespace trireme::io {
namespace {

using nlohmann::json;
using testing::HasSubstr;

Tokenizer tiny() { return Tokenizer::from_json(test::tiny_tokenizer(), "tiny.json"); }

std::string mistake(const json& document) {
    try {
        (void)Tokenizer::from_json(document.dump(), "f.json");
    } catch (const DataError& error) {
        return error.what();
    }
    return "none";
}

TEST(Tokenizer, BytesAreTokens) {
    const Tokenizer bytes = Tokenizer::bytes();
    EXPECT_EQ(bytes.vocabulary(), 256);
    const std::string text("a\xff\0z", 4);
    EXPECT_EQ(bytes.encode(text), (std::vector<std::int32_t>{97, 255, 0, 122}));
    EXPECT_EQ(bytes.decode(bytes.encode(text)), text);
    EXPECT_EQ(bytes.decode(std::vector<std::int32_t>{-1, 65, 256}), "A");
}

TEST(Tokenizer, EncodesAsTheLibraryDoes) {
    const json golden = json::parse(test::tokenizer_encodings());
    const Tokenizer tokenizer = tiny();
    EXPECT_EQ(tokenizer.vocabulary(), golden.at("vocabulary").get<std::int64_t>());
    ASSERT_GT(golden.at("encodings").size(), 10U);
    for (const json& row : golden.at("encodings")) {
        const auto text = row.at("text").get<std::string>();
        const std::vector<std::int32_t> tokens = tokenizer.encode(text);
        EXPECT_EQ(tokens, row.at("tokens").get<std::vector<std::int32_t>>()) << text;
        EXPECT_EQ(tokenizer.decode(tokens), text);
    }
}

TEST(Tokenizer, AnyBytesComeBack) {
    const Tokenizer tokenizer = tiny();
    std::string text;
    for (int i = 0; i < 3000; ++i) text += static_cast<char>(i * 7 % 256);
    text += "\xf0\x9f";  // a character cut short at the end
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

/// One word of a million letters: quadratic merging would take hours.
TEST(Tokenizer, LongWordsTakeNoLonger) {
    const Tokenizer tokenizer = tiny();
    const std::string text(1'000'000, 'e');
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    std::string marked;
    for (int i = 0; i < 20'000; ++i) marked += "<|end|>ab";
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(marked)), marked);
}

TEST(Tokenizer, RefusesWhatWouldGiveOtherTokens) {
    const json good = json::parse(test::tiny_tokenizer());
    EXPECT_EQ(mistake(good), "none");
    const auto with = [&](const char* pointer, const json& value) {
        json changed = good;
        changed[json::json_pointer(pointer)] = value;
        return mistake(changed);
    };
    EXPECT_THAT(with("/normalizer", {{"type", "NFC"}}), HasSubstr("f.json: has a normalizer"));
    EXPECT_THAT(with("/pre_tokenizer", {{"type", "Whitespace"}}),
                HasSubstr("pre-tokenizer is not ByteLevel"));
    EXPECT_THAT(with("/pre_tokenizer/add_prefix_space", true), HasSubstr("adds a space in front"));
    EXPECT_THAT(with("/pre_tokenizer/use_regex", false), HasSubstr("does not use GPT-2's pattern"));
    EXPECT_THAT(with("/model/type", "Unigram"), HasSubstr("its model is not BPE"));
    EXPECT_THAT(with("/model/unk_token", "<unk>"), HasSubstr("its model has unk_token"));
    EXPECT_THAT(with("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
    EXPECT_THAT(with("/model/vocab", json::object()), HasSubstr("no vocab"));
    EXPECT_THAT(with("/model/vocab/e", 500), HasSubstr("but none of number"));
    EXPECT_THAT(with("/model/vocab/e", -1), HasSubstr("the number of token \"e\" is not from 0"));
    EXPECT_THAT(with("/model/merges/0", "e"), HasSubstr("merge 0 is no pair"));
    EXPECT_THAT(with("/model/merges/0", json::array({"zz", "qq"})),
                HasSubstr("merge 0 (\"zz\" and \"qq\") is not of tokens"));
    EXPECT_THAT(with("/added_tokens/0/lstrip", true), HasSubstr("\"<|endoftext|>\" has lstrip"));
    EXPECT_THAT(with("/post_processor", {{"type", "TemplateProcessing"}}),
                HasSubstr("post-processor that adds tokens"));
    json many = json::array();
    for (int i = 0; i < 5; ++i)
        many.push_back({{"id", i}, {"content", std::string(4000, static_cast<char>('a' + i))}});
    EXPECT_THAT(with("/added_tokens", many), HasSubstr("added_tokens have more than 16384 bytes"));
    json deep = 1;
    for (int i = 0; i < 20; ++i) deep = json::array({deep});
    EXPECT_THAT(with("/other", deep), HasSubstr("is nested deeper than 16 levels"));
    json without = good;
    without["model"]["vocab"].erase("q");
    EXPECT_NE(mistake(without), "none");
}

class FuzzTokenizer : public testing::TestWithParam<int> {};

/// Whatever stands in a tokenizer.json, it is read or refused with a DataError, and what is read encodes.
TEST_P(FuzzTokenizer, IsReadOrRefused) {
    const test::Mutations mutations(
        {test::tiny_tokenizer()}, {"null", "\"BPE\"", "[", "]", "{", "}", "-1", "1e99", "\"\"", "\"e\"", ",",
                                   ":", "\"model\"", "\"\\u0000\"", "true", "4294967296"});
    std::int64_t refused = 0;
    const std::int64_t first = GetParam() * test::fuzz_cases;
    for (std::int64_t i = first; i < first + test::fuzz_cases; ++i) {
        try {
            const Tokenizer tokenizer = Tokenizer::from_json(mutations.text(i), "f.json");
            EXPECT_EQ(tokenizer.decode(tokenizer.encode("the <|end|> q")), "the <|end|> q") << "case " << i;
        } catch (const DataError&) {
            ++refused;
        } catch (const std::exception& error) {
            FAIL() << "case " << i << ": " << error.what();
        }
    }
    EXPECT_GT(refused, test::fuzz_cases / 100);
    EXPECT_LT(refused, test::fuzz_cases);
}

INSTANTIATE_TEST_SUITE_P(Shards, FuzzTokenizer, testing::Range(0, test::fuzz_shards()));

}  // namespace
}  // namespace trireme::io
