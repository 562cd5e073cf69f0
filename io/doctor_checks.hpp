// The checks of `trireme data doctor`, each a pure function of what one pass over the samples has gathered.
#pragma once

#include <map>
#include <span>

#include "io/data_set.hpp"
#include "io/doctor.hpp"

namespace trireme::io {

struct SamplePlace {
    std::string split;
    std::int64_t index = 0;  ///< in data-set order
};

/// What one pass over all samples has gathered.
struct Evidence {
    explicit Evidence(const DataSetInfo& info);
    void add(const DataSetInfo& info, const SamplePlace& place, std::span<const std::byte> sample);
    /// Stored tokens of a stream.
    void add_tokens(const DataSetInfo& info, const std::string& split, std::span<const std::byte> tokens);

    struct Hashed {
        std::uint64_t hash = 0;
        std::uint64_t place = 0;  ///< split number << 60 | index
        auto operator<=>(const Hashed&) const = default;
    };

    std::vector<std::string> damage;  ///< messages of blocks that cannot be read
    std::map<std::string, std::vector<std::int64_t>> class_samples;  ///< by split; of a stream, by token
    std::vector<Hashed> hashes;                                      ///< of all samples
    std::int64_t blank = 0;  ///< samples with one value in all elements
    SamplePlace first_blank;
    std::int64_t not_finite = 0;  ///< samples with NaN or infinity
    SamplePlace first_not_finite;
    /// Smallest and largest value of each element over the train split: of each feature of a vector, of each
    /// channel of what has more axes.
    std::vector<float> least;
    std::vector<float> most;
};

using Check = void (*)(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings);

void check_damage(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings);
void check_class_balance(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings);
/// Equal samples, by XXH3 of their bytes: in two splits (what is learned is then tested), or within one.
void check_duplicates(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings);
void check_inputs(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings);
void check_blocks(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings);
/// Of a stream: tokens that the train split does not have, which nothing can be learned of.
void check_tokens(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings);

}  // namespace trireme::io
