#include "io/predictions.hpp"

#include <cstring>
#include <functional>
#include <memory>

#include <fmt/format.h>

#include "io/hdf5/file.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
constexpr std::size_t row_head = sizeof(std::int64_t) + sizeof(std::int32_t);

std::size_t record_bytes(std::int64_t outputs) {
    return row_head + static_cast<std::size_t>(outputs) * sizeof(float);
}

fs::path part_path(const fs::path& out, int rank) {
    return prediction_parts(out) / fmt::format("part-{:04}", rank);
}

/// Calls `take` with the records of all parts, some at a time, in order; returns how many there were.
std::int64_t read_parts(const fs::path& out, int ranks, std::size_t record,
                        const std::function<void(std::span<const std::byte>)>& take) {
    const std::size_t chunk = std::max<std::size_t>(1, buffer_bytes / record) * record;
    std::vector<std::byte> buffer;
    std::int64_t rows = 0;
    for (int rank = 0; rank < ranks; ++rank) {
        const PosixFile part(part_path(out, rank), PosixFile::Mode::read);
        const auto bytes = static_cast<std::size_t>(part.size());
        for (std::size_t at = 0; at < bytes; at += buffer.size()) {
            buffer.resize(std::min(chunk, bytes - at));
            part.read_at(buffer, static_cast<std::int64_t>(at));
            take(buffer);
        }
        rows += static_cast<std::int64_t>(bytes / record);
    }
    return rows;
}

struct Record {
    std::int64_t sample = 0;
    std::int32_t predicted = 0;
    const std::byte* outputs = nullptr;
};

Record record_at(const std::byte* from) {
    Record record;
    std::memcpy(&record.sample, from, sizeof record.sample);
    std::memcpy(&record.predicted, from + sizeof record.sample, sizeof record.predicted);
    record.outputs = from + row_head;
    return record;
}

/// A file of predictions being written; rows come in order.
class Sink {
  public:
    virtual ~Sink() = default;
    virtual void take(std::span<const std::byte> records) = 0;
    virtual void finish() = 0;
};

class CsvSink final : public Sink {
  public:
    CsvSink(const fs::path& path, const PredictionLayout& layout)
        : file_(path, PosixFile::Mode::create), layout_(layout) {
        text_ = layout.has_class ? "sample,predicted" : "sample";
        for (std::int64_t c = 0; c < layout.outputs; ++c)
            text_ += fmt::format(",{}_{}", layout.output_name, c);
        text_ += '\n';
    }
    void take(std::span<const std::byte> records) override {
        const std::size_t bytes = record_bytes(layout_.outputs);
        for (std::size_t at = 0; at < records.size(); at += bytes) add(record_at(records.data() + at));
        flush();
    }
    void finish() override {
        flush();
        file_.sync();
    }

  private:
    void add(const Record& record) {
        auto out = std::back_inserter(text_);
        fmt::format_to(out, "{}", record.sample);
        if (layout_.has_class) fmt::format_to(out, ",{}", record.predicted);
        for (std::int64_t c = 0; c < layout_.outputs; ++c) {
            float value = 0;
            std::memcpy(&value, record.outputs + static_cast<std::size_t>(c) * sizeof value, sizeof value);
            fmt::format_to(out, ",{}", value);  // the shortest text that gives the same float again
        }
        text_ += '\n';
    }
    void flush() {
        file_.write_at(std::as_bytes(std::span(text_)), at_);
        at_ += static_cast<std::int64_t>(text_.size());
        text_.clear();
    }

    PosixFile file_;
    const PredictionLayout& layout_;
    std::string text_;
    std::int64_t at_ = 0;
};

/// Contiguous data sets /sample, /predicted and /<output_name> [rows, outputs].
class Hdf5Sink final : public Sink {
  public:
    Hdf5Sink(const fs::path& path, const PredictionLayout& layout) : layout_(layout) {
        hdf5::File file = hdf5::File::create(path);
        file.attributes().put_text("format", "trireme-predictions");
        file.attributes().put_int("schema", 1);
        for (const auto& [name, value] : layout.notes) file.attributes().put_text(name, value);
        const auto place = [&](const std::string& name, DType dtype, const Shape& shape) {
            return file.create_contiguous("/" + name, dtype, shape).contiguous_offset();
        };
        sample_ = place("sample", DType::i64, Shape{layout.rows});
        if (layout.has_class) predicted_ = place("predicted", DType::i32, Shape{layout.rows});
        outputs_ = place(layout.output_name, DType::f32, Shape{layout.rows, layout.outputs});
        file.close();
        file_ = std::make_unique<PosixFile>(path, PosixFile::Mode::write);
    }
    void take(std::span<const std::byte> records) override {
        const std::size_t bytes = record_bytes(layout_.outputs);
        const std::size_t rows = records.size() / bytes;
        std::vector<std::int64_t> samples(rows);
        std::vector<std::int32_t> predicted(rows);
        std::vector<std::byte> outputs(rows * (bytes - row_head));
        for (std::size_t i = 0; i < rows; ++i) {
            const Record record = record_at(records.data() + i * bytes);
            samples[i] = record.sample;
            predicted[i] = record.predicted;
            std::memcpy(outputs.data() + i * (bytes - row_head), record.outputs, bytes - row_head);
        }
        write(sample_, std::as_bytes(std::span(samples)));
        if (layout_.has_class) write(predicted_, std::as_bytes(std::span(predicted)));
        write(outputs_, outputs);
    }
    void finish() override { file_->sync(); }

  private:
    void write(std::int64_t& at, std::span<const std::byte> bytes) const {
        file_->write_at(bytes, at);
        at += static_cast<std::int64_t>(bytes.size());
    }

    const PredictionLayout& layout_;
    std::unique_ptr<PosixFile> file_;
    std::int64_t sample_ = 0;  // where the next rows go
    std::int64_t predicted_ = 0;
    std::int64_t outputs_ = 0;
};

}  // namespace

fs::path prediction_parts(const fs::path& out) {
    return out.parent_path() / fmt::format(".{}.parts", out.filename().string());
}

void require_prediction_name(const fs::path& out) {
    if (out.extension() != ".csv" && out.extension() != ".h5")
        throw ConfigError(
            fmt::format("command line: --out {}: the name must end in .h5 or .csv", out.string()));
}

PredictionPart::PredictionPart(const fs::path& out, int rank, std::int64_t outputs)
    : file_(part_path(out, rank), PosixFile::Mode::create), outputs_(outputs) {}

void PredictionPart::add(const PredictionRow& row) {
    ensure(static_cast<std::int64_t>(row.outputs.size()) == outputs_, "a row has all outputs");
    const auto put = [&](const void* data, std::size_t bytes) {
        const auto* begin = static_cast<const std::byte*>(data);
        buffer_.insert(buffer_.end(), begin, begin + bytes);
    };
    put(&row.sample, sizeof row.sample);
    put(&row.predicted, sizeof row.predicted);
    put(row.outputs.data(), row.outputs.size_bytes());
    if (buffer_.size() >= buffer_bytes) finish();
}

void PredictionPart::finish() {
    file_.write_at(buffer_, at_);
    at_ += static_cast<std::int64_t>(buffer_.size());
    buffer_.clear();
}

void join_predictions(const fs::path& out, const PredictionLayout& layout, int ranks) {
    const fs::path temporary = out.parent_path() / fmt::format(".{}.tmp", out.filename().string());
    std::unique_ptr<Sink> sink;
    if (out.extension() == ".csv") {
        sink = std::make_unique<CsvSink>(temporary, layout);
    } else {
        sink = std::make_unique<Hdf5Sink>(temporary, layout);
    }
    std::int64_t seen = 0;
    const std::size_t record = record_bytes(layout.outputs);
    const std::int64_t rows = read_parts(out, ranks, record, [&](std::span<const std::byte> records) {
        seen += static_cast<std::int64_t>(records.size() / record);
        ensure(seen <= layout.rows, "no more rows than samples");
        sink->take(records);
    });
    if (rows != layout.rows) {
        throw DataError(fmt::format("{}: has {} rows of {}: do all ranks see this folder?",
                                    prediction_parts(out).string(), rows, layout.rows));
    }
    sink->finish();
    fs::rename(temporary, out);
    fs::remove_all(prediction_parts(out));
}

}  // namespace trireme::io
