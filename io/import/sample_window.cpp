#include "io/import/sample_window.hpp"

#include <cstring>

#include "io/import/parallel.hpp"
#include "io/targets.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

// Enough samples to keep threads busy between two waits for all of them, and never much memory.
constexpr std::int64_t window_bytes = std::int64_t{32} << 20;
constexpr std::int64_t max_window_samples = 16'384;

}  // namespace

SampleWindow::SampleWindow(const ImportSource& source, const DataSetInfo& set,
                           const std::vector<SourceRef>& order, int threads,
                           std::function<void(std::int64_t)> progress)
    : source_(source),
      set_(set),
      order_(order),
      threads_(threads),
      progress_(std::move(progress)),
      x_bytes_(static_cast<std::size_t>(set.sample_bytes())),
      y_bytes_(static_cast<std::size_t>(set.target_bytes())) {}

void SampleWindow::copy(std::int64_t begin, std::int64_t end, std::span<std::byte> x,
                        std::span<std::byte> y) {
    const std::int64_t rows = static_cast<std::int64_t>(x.size() / x_bytes_);
    const std::int64_t most = std::clamp<std::int64_t>(
        window_bytes / static_cast<std::int64_t>(x_bytes_ + y_bytes_), 1, max_window_samples);
    for (std::int64_t i = 0; i < rows; ++i) {
        const std::int64_t row = begin + i;
        if (row < rows_.begin || row >= rows_.end) load({row, std::min(row + most, end)});
        const auto at = static_cast<std::size_t>(row - rows_.begin);
        const auto to = static_cast<std::size_t>(i);
        std::memcpy(x.data() + to * x_bytes_, x_.data() + at * x_bytes_, x_bytes_);
        std::memcpy(y.data() + to * y_bytes_, y_.data() + at * y_bytes_, y_bytes_);
    }
}

void SampleWindow::load(IndexRange rows) {
    rows_ = rows;
    x_.resize(static_cast<std::size_t>(rows.size()) * x_bytes_);
    y_.resize(static_cast<std::size_t>(rows.size()) * y_bytes_);
    for_each_index(rows, threads_, [this](std::int64_t row) { load_one(row); });
    progress_(rows.size());
}

void SampleWindow::load_one(std::int64_t row) {
    const SourceRef ref = order_.at(static_cast<std::size_t>(row));
    const auto at = static_cast<std::size_t>(row - rows_.begin);
    const std::span target = std::span(y_).subspan(at * y_bytes_, y_bytes_);
    source_.read(ref.part, ref.index, std::span(x_).subspan(at * x_bytes_, x_bytes_), target);
    const std::string wrong = wrong_target(set_, target);
    if (wrong.empty()) return;
    throw DataError(fmt::format("{}: {} sample {}: {}: correct the source", set_.source,
                                source_.parts().at(ref.part).name, ref.index, wrong));
}

}  // namespace trireme::io
