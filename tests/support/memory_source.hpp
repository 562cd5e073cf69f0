// Samples that are computed from their index, so that a test knows what must come out of a data set; and
// folders that vanish with the test.
#pragma once

#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

#include "io/import/import.hpp"
#include "io/targets.hpp"

namespace trireme::test {

/// A new empty folder, by default under the system's temporary one, removed at the end.
class TemporaryFolder {
  public:
    explicit TemporaryFolder(const std::filesystem::path& under = std::filesystem::temp_directory_path()) {
        static std::atomic<int> counter{0};
        path_ = under / fmt::format("trireme-test-{}-{}", ::getpid(), counter.fetch_add(1));
        std::filesystem::create_directories(path_);
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

/// Sample i of part p: element e is (i * 7 + p * 31 + e * 3) mod 251, its class i mod classes. For fp32 a
/// quarter of that, minus 10.
class MemorySource final : public io::ImportSource {
  public:
    MemorySource(std::vector<io::SourcePart> parts, Shape shape, DType dtype = DType::u8,
                 std::int64_t classes = 10)
        : parts_(std::move(parts)), shape_(std::move(shape)), dtype_(dtype), classes_(classes) {}

    [[nodiscard]] std::string description() const override { return "memory"; }
    [[nodiscard]] std::string licence() const override { return "none needed"; }
    [[nodiscard]] Shape sample_shape() const override { return shape_; }
    [[nodiscard]] DType dtype() const override { return dtype_; }
    [[nodiscard]] std::int64_t classes() const override { return classes_; }
    [[nodiscard]] std::vector<std::string> class_names() const override {
        std::vector<std::string> names;
        for (std::int64_t c = 0; c < classes_; ++c) names.push_back(fmt::format("class {}", c));
        return names;
    }
    [[nodiscard]] std::vector<io::SourcePart> parts() const override { return parts_; }

    static unsigned byte_of(std::uint32_t part, std::int64_t index, std::int64_t element) {
        return static_cast<unsigned>((index * 7 + part * 31 + element * 3) % 251);
    }
    static float float_of(std::uint32_t part, std::int64_t index, std::int64_t element) {
        return static_cast<float>(byte_of(part, index, element)) * 0.25f - 10.0f;
    }

    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override {
        const auto p = static_cast<std::uint32_t>(part);
        for (std::int64_t e = 0; e < shape_.elements().value; ++e) {
            if (dtype_ == DType::u8) {
                x[static_cast<std::size_t>(e)] = static_cast<std::byte>(byte_of(p, index, e));
            } else {
                const float value = float_of(p, index, e);
                std::memcpy(x.data() + e * 4, &value, 4);
            }
        }
        if (target_kind_ == io::target_class) {
            io::store_class(label(part, index), target);
            return;
        }
        for (std::int64_t e = 0; e < classes_; ++e) {
            const float value = target_of(index, e);
            if (target_kind_ == io::target_float) {
                std::memcpy(target.data() + e * 4, &value, 4);
            } else {
                target[static_cast<std::size_t>(e)] = std::byte{value != 0};
            }
        }
    }
    [[nodiscard]] std::int32_t label(std::size_t, std::int64_t index) const override {
        return static_cast<std::int32_t>(bad_label_at_ == index ? classes_ : index % classes_);
    }
    /// Element e of the vector of sample `index`: 0 or 1 for multi-hot, eighths for floats.
    [[nodiscard]] float target_of(std::int64_t index, std::int64_t element) const {
        if (target_kind_ == io::target_multi_hot) return (index + element) % 3 == 0 ? 1.f : 0.f;
        return static_cast<float>((index * 5 + element) % 97) * 0.125f - 3.f;
    }
    /// Vectors of `classes` elements instead of classes.
    void use_vectors(std::string_view kind) { target_kind_ = kind; }
    [[nodiscard]] std::string target_kind() const override { return target_kind_; }
    [[nodiscard]] Shape target_shape() const override {
        return target_kind_ == io::target_class ? Shape() : Shape{classes_};
    }
    /// Gives that index a class that does not exist.
    void spoil_label(std::int64_t index) { bad_label_at_ = index; }

  private:
    std::vector<io::SourcePart> parts_;
    Shape shape_;
    DType dtype_;
    std::int64_t classes_;
    std::int64_t bad_label_at_ = -1;
    std::string target_kind_ = std::string(io::target_class);
};

/// A plan whose train split is cut into shards of exactly these sizes (they must add up to the train part).
[[nodiscard]] inline io::ImportPlan plan_with_shards(const io::ImportSource& source,
                                                     const std::vector<std::int64_t>& sizes,
                                                     std::uint64_t seed = 1) {
    io::ImportOptions options;
    options.shards = static_cast<int>(sizes.size());
    options.seed = seed;
    io::ImportPlan plan = io::plan_import(source, options);
    std::int64_t begin = 0;
    for (std::size_t s = 0; s < sizes.size(); ++s) {
        plan.splits["train"].pieces[s] = {begin, begin + sizes[s]};
        begin += sizes[s];
    }
    return plan;
}

}  // namespace trireme::test
