// Seeded mutations of a text, for tests of parsers: the same seed gives the same text on every machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/core/philox.hpp"

namespace trireme::test {

/// Cases of one test. tests/run.sh --all has more tests, not longer ones, so that none runs into its time
/// limit.
inline constexpr std::int64_t fuzz_cases = 10'000;
/// How many tests of `fuzz_cases` each: one, or with TRIREME_TEST_ALL=1 enough for a million cases.
inline int fuzz_shards() {
    const char* all = std::getenv("TRIREME_TEST_ALL");
    return all != nullptr && std::string(all) == "1" ? 100 : 1;
}

class Mutations {
  public:
    /// Starts from `seeds`; `words` are put in where they may hurt.
    Mutations(std::vector<std::string> seeds, std::vector<std::string> words)
        : seeds_(std::move(seeds)), words_(std::move(words)) {}

    /// The text of a case: one of the seeds after one to four changes.
    std::string text(std::int64_t index) const {
        Draw draw{RandomStream(static_cast<std::uint64_t>(index), "mutations")};
        std::string text = seeds_[draw.below(seeds_.size())];
        for (std::uint64_t change = 0, changes = 1 + draw.below(4); change < changes; ++change)
            mutate(text, draw);
        return text;
    }

  private:
    struct Draw {
        RandomStream stream;
        std::uint64_t next = 0;
        std::size_t below(std::size_t bound) { return stream.below(next++, std::max<std::size_t>(bound, 1)); }
    };

    void mutate(std::string& text, Draw& draw) const {
        const std::size_t at = draw.below(text.size() + 1);
        const std::size_t length = std::min(draw.below(40), text.size() - at);
        switch (draw.below(8)) {
            case 0:
                if (at < text.size()) text[at] = static_cast<char>(draw.below(256));
                break;
            case 1:
                text.insert(at, 1, static_cast<char>(draw.below(256)));
                break;
            case 2:
                text.erase(at, length);
                break;
            case 3:
                text.insert(at, text.substr(draw.below(text.size()), draw.below(200)));
                break;
            case 4:
                text.insert(at, words_[draw.below(words_.size())]);
                break;
            case 5:
                replace_token(text, at, words_[draw.below(words_.size())]);
                break;
            case 6:
                swap_lines(text, draw);
                break;
            default:
                if (draw.below(8) == 0)
                    text.resize(at);
                else
                    replace_token(text, at, std::to_string(draw.below(3000)));
        }
    }

    /// Replaces what stands between blanks around `at`.
    static void replace_token(std::string& text, std::size_t at, const std::string& word) {
        const std::string blanks = " \n=,[]";
        const std::size_t before = at == 0 ? std::string::npos : text.find_last_of(blanks, at - 1);
        const std::size_t begin = before == std::string::npos ? 0 : before + 1;
        const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
        text.replace(begin, end - begin, word);
    }

    static void swap_lines(std::string& text, Draw& draw) {
        const auto line = [&](std::size_t at) {
            const std::size_t before = at == 0 ? std::string::npos : text.rfind('\n', at - 1);
            const std::size_t begin = before == std::string::npos ? 0 : before + 1;
            return std::pair(begin, std::min(text.find('\n', begin), text.size()) - begin);
        };
        const auto [from, length] = line(draw.below(text.size()));
        const std::string moved = text.substr(from, length);
        const auto [to, replaced] = line(draw.below(text.size()));
        text.replace(to, replaced, moved);
    }

    std::vector<std::string> seeds_;
    std::vector<std::string> words_;
};

}  // namespace trireme::test
