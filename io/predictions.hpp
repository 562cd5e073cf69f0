// Files of predictions: one row a sample, in input order, whoever computed it.
//
//      rank 0   batches 0 1 2  ->  .out.csv.parts/part-0000     rows as fixed-size records
//      rank 1   batches 3 4    ->  .out.csv.parts/part-0001
//      rank 0 then joins the parts in rank order, which is input order, into out.csv or out.h5
//
// The joined file is written under a temporary name and renamed, and holds nothing that depends on the rank
// count. docs/checkpoint-format.md describes it. Parts lie beside the output, so all ranks must see that
// folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/posix_file.hpp"

namespace trireme::io {

/// What a row of predictions is.
struct PredictionLayout {
    std::int64_t rows = 0;     ///< of all ranks
    std::int64_t outputs = 0;  ///< numbers a row
    std::string output_name;   ///< "probability" or "output"
    bool has_class = false;    ///< a column with the predicted class
    /// Root attributes of an HDF5 file: where the predictions come from.
    std::map<std::string, std::string> notes;
};

struct PredictionRow {
    std::int64_t sample = 0;  ///< its place in the split
    std::int32_t predicted = 0;
    std::span<const float> outputs;
};

/// The folder of the parts of an output file.
[[nodiscard]] std::filesystem::path prediction_parts(const std::filesystem::path& out);
/// Throws ConfigError when the name ends in neither .csv nor .h5.
void require_prediction_name(const std::filesystem::path& out);

/// The rows of one rank, buffered.
class PredictionPart {
  public:
    /// `prediction_parts(out)` must exist.
    PredictionPart(const std::filesystem::path& out, int rank, std::int64_t outputs);
    void add(const PredictionRow& row);
    /// Writes what is buffered. To be called once, at the end.
    void finish();

  private:
    PosixFile file_;
    std::int64_t outputs_;
    std::int64_t at_ = 0;
    std::vector<std::byte> buffer_;
};

/// Joins the parts of `ranks` ranks into `out` and removes them. Throws DataError where rows are missing.
void join_predictions(const std::filesystem::path& out, const PredictionLayout& layout, int ranks);

}  // namespace trireme::io
