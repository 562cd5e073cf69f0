#include "tests/emulated/cublaslt/run.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <numbers>
#include <vector>

#include "tests/emulated/products/products.hpp"

namespace trireme::emulated {
namespace {

constexpr std::int64_t column_block = 192;

/// The documentation does not tell the order of a mask's bits. This one is nobody else's, so that whoever
/// writes or reads a mask by an order of his own is found out; each 128 bits of a column keep to themselves.
std::int64_t place_of_bit(std::int64_t row) { return row / 128 * 128 + (row % 128 * 37 + 11) % 128; }

void set_bit(std::byte* mask, std::int64_t index, bool on) {
    const std::byte one = std::byte{1} << static_cast<int>(index % 8);
    std::byte& at = mask[index / 8];
    at = on ? at | one : at & ~one;
}
bool bit(const std::byte* mask, std::int64_t index) {
    return (mask[index / 8] >> static_cast<int>(index % 8) & std::byte{1}) != std::byte{0};
}

/// cuBLASLt's gelu is the tanh form.
constexpr float root = 0.797884560802865355879892F;  // of 2 / pi
constexpr float cubic = 0.044715F;
float gelu(float x) { return 0.5F * x * (1 + std::tanh(root * (x + cubic * x * x * x))); }
float gelu_slope(float x) {
    const float t = std::tanh(root * (x + cubic * x * x * x));
    return 0.5F * (1 + t) + 0.5F * x * (1 - t * t) * root * (1 + 3 * cubic * x * x);
}

struct Scalars {
    float alpha;
    float beta;
};
Scalars scalars_of(const Run& run) {
    if (!run.problem.scalars_on_device) return {run.alpha, run.beta};
    const auto read = [](const std::byte* from) { return from == nullptr ? 0 : load<Element::f32>(from, 0); };
    return {read(run.alpha_on_device), read(run.beta_on_device)};
}

/// What is done to a column of sums on its way into D.
class Finish {
  public:
    Finish(const Run& run, std::int64_t batch)
        : run_(run), p_(run.problem), batch_(batch), scalars_(scalars_of(run)) {
        if (p_.epilogue.sums_d) sums_.resize(static_cast<std::size_t>(p_.m));
    }

    void column(std::int64_t column, const float* sums) {
        for (std::int64_t row = 0; row < p_.m; ++row) {
            const float value = activated(row, column, before_activation(row, column, sums[row]));
            store(p_.d.element, run_.d, p_.d.at(row, column, batch_), value);
            if (p_.epilogue.sums_d) sums_[static_cast<std::size_t>(row)] += static_cast<double>(value);
        }
    }
    /// After all columns.
    void store_sums() const {
        for (std::size_t row = 0; row < sums_.size(); ++row)
            store(p_.vector_element, run_.vector, vector_at(static_cast<std::int64_t>(row)),
                  static_cast<float>(sums_[row]));
    }
    [[nodiscard]] std::int64_t vector_at(std::int64_t index) const {
        return index + batch_ * p_.vector_batch_stride;
    }

  private:
    /// C is not read where beta is 0: it may hold anything.
    [[nodiscard]] float before_activation(std::int64_t row, std::int64_t column, float sum) const {
        float value = scalars_.alpha * sum;
        if (scalars_.beta != 0)
            value += scalars_.beta * load(p_.c.element, run_.c, p_.c.at(row, column, batch_));
        if (p_.epilogue.bias) value += load(p_.vector_element, run_.vector, vector_at(row));
        return value;
    }

    float activated(std::int64_t row, std::int64_t column, float value) {
        const std::int64_t line = batch_ * p_.aux_batch_stride + column * p_.aux_leading;
        switch (p_.epilogue.activation) {
            case Activation::none:
                return value;
            case Activation::relu:
                if (p_.epilogue.writes_aux) set_bit(run_.aux, line + place_of_bit(row), value > 0);
                return std::max(value, 0.0F);
            case Activation::gelu:
                if (p_.epilogue.writes_aux) store(p_.d.element, run_.aux, line + row, value);
                return gelu(value);
            case Activation::relu_gradient:
                return bit(run_.aux, line + place_of_bit(row)) ? value : 0;
            case Activation::gelu_gradient:
                return value * gelu_slope(load(p_.d.element, run_.aux, line + row));
        }
        return value;
    }

    const Run& run_;
    const Problem& p_;
    std::int64_t batch_;
    Scalars scalars_;
    std::vector<double> sums_;
};

/// Where a run that splits the sum over k begins its parts, and which it adds first. The documentation
/// promises equal bits at each run on the same model of GPU alone; a seed stands for the model.
struct Parts {
    std::vector<Interval> ranges;
    std::size_t first = 0;
};
Parts parts_of(const Run& run) {
    static std::atomic<std::uint32_t> runs{0};
    const std::int64_t k = run.problem.k;
    const std::int64_t splits = run.algorithm.splits;
    if (splits == 1) return {{{0, k}}, 0};
    const std::uint32_t which = run.salt + (run.repeats ? 0 : runs.fetch_add(1));
    Parts parts;
    std::int64_t begin = 0;
    for (std::int64_t part = 0; part < splits; ++part) {
        std::int64_t end = (part + 1) * k / splits;
        if (part + 1 < splits && end - begin > 2) end -= which % 3 % (end - begin - 1);
        parts.ranges.push_back({begin, end});
        begin = end;
    }
    parts.first = which % parts.ranges.size();
    return parts;
}

/// sums += part, as the algorithm keeps its partial sums.
void reduce(const Run& run, const std::vector<float>& part, std::vector<float>& sums) {
    const Element element = run.problem.d.element;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        switch (run.algorithm.method) {
            case Method::in_output:
                sums[i] += as_stored(element, part[i]);
                break;
            case Method::in_place:
                sums[i] = as_stored(element, sums[i] + part[i]);
                break;
            default:
                sums[i] += part[i];
        }
    }
}

/// BGRADA and BGRADB: op(X) summed over k, for each of its lines.
void sum_lines(const Run& run, const Finish& finish, std::int64_t batch) {
    const Problem& p = run.problem;
    const View& view = p.epilogue.sums_a ? p.a : p.b;
    const std::byte* const memory = p.epilogue.sums_a ? run.a : run.b;
    for (std::int64_t line = 0; line < p.vector_length(); ++line) {
        double sum = 0;
        for (std::int64_t k = 0; k < p.k; ++k) {
            const std::int64_t at = p.epilogue.sums_a ? view.at(line, k, batch) : view.at(k, line, batch);
            sum += static_cast<double>(load(view.element, memory, at));
        }
        store(p.vector_element, run.vector, finish.vector_at(line), static_cast<float>(sum));
    }
}

void multiply_batch(const Run& run, std::int64_t batch) {
    const Problem& p = run.problem;
    const Parts parts = parts_of(run);
    const std::byte* const a = run.a + batch * p.a.batch_stride * size_of(p.a.element);
    const std::byte* const b = run.b + batch * p.b.batch_stride * size_of(p.b.element);
    const Lines rows_of_a{a, p.a.element, p.rounding, p.a.row_stride, p.a.column_stride};
    const Lines columns_of_b{b, p.b.element, p.rounding, p.b.column_stride, p.b.row_stride};
    Finish finish(run, batch);
    std::vector<float> sums;
    std::vector<float> part;
    for (std::int64_t n = 0; n < p.n; n += column_block) {
        const Interval columns{n, std::min(n + column_block, p.n)};
        sums.assign(static_cast<std::size_t>(p.m * columns.count()), 0.0F);
        for (std::size_t i = 0; i < parts.ranges.size(); ++i) {
            const Interval& inner = parts.ranges[(parts.first + i) % parts.ranges.size()];
            if (parts.ranges.size() == 1) {
                add_products(rows_of_a, p.m, columns_of_b, columns, inner, sums.data(), p.m);
                continue;
            }
            part.assign(sums.size(), 0.0F);
            add_products(rows_of_a, p.m, columns_of_b, columns, inner, part.data(), p.m);
            reduce(run, part, sums);
        }
        for (std::int64_t column = columns.begin; column < columns.end; ++column)
            finish.column(column, sums.data() + (column - columns.begin) * p.m);
    }
    finish.store_sums();
    if (p.epilogue.sums_a || p.epilogue.sums_b) sum_lines(run, finish, batch);
}

}  // namespace

void execute(const Run& run) {
    if (run.workspace_size > 0) std::memset(run.workspace, 0xff, run.workspace_size);
    for (std::int64_t batch = 0; batch < run.problem.batches; ++batch) multiply_batch(run, batch);
}

}  // namespace trireme::emulated
