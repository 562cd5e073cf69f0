// Inverted dropout (Srivastava et al., 2014). Which elements stay is a function of (seed, step, node name,
// position in the global batch, element) and of nothing else, so the mask does not change when a batch is cut
// otherwise. Forward keeps it as one bit an element: backward then needs neither random numbers nor input.
#include <array>
#include <cmath>
#include <cstring>

#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

constexpr std::int64_t word_bits = 32;
/// RandomStream gives four elements a block, 24 random bits each.
constexpr std::int64_t block_elements = 4;
constexpr int unused_bits = 8;
constexpr std::int64_t word_blocks = word_bits / block_elements;

/// Bit i tells whether element i of the blocks [first, first + word_blocks) is kept: philox4x32 of all these
/// blocks side by side, one a lane.
[[gnu::always_inline]] inline std::uint32_t draw_word(const StreamKey& key, std::uint64_t first,
                                                      std::uint32_t threshold) {
    std::uint32_t c[4][word_blocks];
    for (std::int64_t lane = 0; lane < word_blocks; ++lane) {
        const std::uint64_t index = first + static_cast<std::uint64_t>(lane);
        c[0][lane] = static_cast<std::uint32_t>(index);
        c[1][lane] = static_cast<std::uint32_t>(index >> 32);
        c[2][lane] = static_cast<std::uint32_t>(key.stream);
        c[3][lane] = static_cast<std::uint32_t>(key.stream >> 32);
    }
    std::array<std::uint32_t, 2> k = key.seed;
    for (int round = 0; round < philox::rounds; ++round) {
#pragma omp simd
        for (std::int64_t lane = 0; lane < word_blocks; ++lane) {
            const std::uint64_t p0 = philox::multiplier_0 * c[0][lane];
            const std::uint64_t p1 = philox::multiplier_1 * c[2][lane];
            c[0][lane] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1][lane] ^ k[0];
            c[1][lane] = static_cast<std::uint32_t>(p1);
            c[2][lane] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3][lane] ^ k[1];
            c[3][lane] = static_cast<std::uint32_t>(p0);
        }
        k[0] += philox::weyl_0;
        k[1] += philox::weyl_1;
    }
    std::uint32_t word = 0;
#pragma omp simd reduction(| : word)
    for (std::int64_t lane = 0; lane < word_blocks; ++lane) {
        std::uint32_t kept = 0;
        for (std::uint32_t place = 0; place < block_elements; ++place)
            kept |= (c[place][lane] >> unused_bits >= threshold ? 1U : 0U) << place;
        word |= kept << (block_elements * lane);
    }
    return word;
}

/// y[i] = x[i] scale where bit i of the word is set, otherwise 0 (also where x is not finite).
[[gnu::always_inline]] inline void apply_word(std::uint32_t word, float scale, const float* x, float* y,
                                              std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
        const float scaled = x[i] * scale;
        y[i] = (word >> i & 1U) != 0 ? scaled : 0.0F;
    }
}

class DropoutKernels final : public OnednnKernels {
  public:
    DropoutKernels(const layers::Dropout& op, const NodeView& view)
        : OnednnKernels(view),
          purpose_("dropout/" + view.node.name),
          sample_elements_(view.output.elements().value),
          elements_(view.outputs()),
          words_((elements_ + word_bits - 1) / word_bits),
          input_(view.input_dtype()),
          output_(view.output_dtype()),
          scale_(static_cast<float>(1 / (1 - op.p))),
          // uniform() is k 2^-24 with an integer k, so that k >= p 2^24 says the same, exactly.
          threshold_(static_cast<std::uint32_t>(std::ceil(op.p * 0x1p24))) {
        workers_ = workers_for(elements_, words_, values_per_worker);
        describe_loop(view);
        if (!training()) description_ = "copy";
        needs_.forward_in_place = input_ == output_;
        needs_.backward_in_place = 1;
        if (training()) needs_.saved = Bytes(words_ * static_cast<std::int64_t>(sizeof(std::uint32_t)));
    }

    void forward(Stream&, const KernelBuffers& b) override {
        const FloatSource x(b.inputs[0], input_);
        const FloatSink y(b.output, output_);
        if (!training()) return copy_values(x, y, elements_);
        ensure(b.context != nullptr, "a dropout in training has a launch context");
        const RandomStream random(b.context->seed, purpose_, static_cast<std::uint64_t>(b.context->step));
        const std::int64_t first = b.context->first_position * sample_elements_;
        auto* words = reinterpret_cast<std::uint32_t*>(b.saved);
        cpu::parallel_ranges(workers_, words_, [&](int, std::int64_t begin, std::int64_t end) {
            draw_words(random.key(), first, begin, end, words);
            apply(words, begin, end, x, y);
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const FloatSource d(b.d_output, output_);
        const FloatSink d_x(b.d_inputs[0], input_);
        const auto* words = reinterpret_cast<const std::uint32_t*>(b.saved);
        cpu::parallel_ranges(workers_, words_, [&](int, std::int64_t begin, std::int64_t end) {
            apply(words, begin, end, d, d_x);
        });
    }

  private:
    /// Random numbers cost more than other element-wise work.
    static constexpr std::int64_t values_per_worker = 4 * 1024;

    /// Bits of mask words [begin, end); `first` is the element of the stream that bit 0 of word 0 belongs to,
    /// which may lie inside a block: then a word is made of two that were drawn.
    void draw_words(const StreamKey& key, std::int64_t first, std::int64_t begin, std::int64_t end,
                    std::uint32_t* words) const {
        const auto skipped = static_cast<int>(first % block_elements);
        run_vectors(
            vectors(), [&]() __attribute__((always_inline)) {
                auto block = static_cast<std::uint64_t>(first / block_elements + begin * word_blocks);
                std::uint32_t drawn = draw_word(key, block, threshold_);
                for (std::int64_t w = begin; w < end; ++w) {
                    block += word_blocks;
                    const std::uint32_t next = draw_word(key, block, threshold_);
                    words[w] = skipped == 0 ? drawn : drawn >> skipped | next << (word_bits - skipped);
                    drawn = next;
                }
            });
    }

    /// Words [begin, end) of the mask, on the values that they belong to.
    void apply(const std::uint32_t* words, std::int64_t begin, std::int64_t end, const FloatSource& from,
               const FloatSink& to) const {
        run_vectors(
            vectors(), [&]() __attribute__((always_inline)) {
                alignas(64) float buffers[2][word_bits];
                for (std::int64_t w = begin; w < end; ++w) {
                    const std::int64_t at = w * word_bits;
                    const std::int64_t n = std::min(word_bits, elements_ - at);
                    float* y = to.open(at, buffers[0]);
                    const float* x = from.read(at, n, buffers[1]);
                    if (n == word_bits) {
                        apply_word(words[w], scale_, x, y, word_bits);
                    } else {
                        apply_word(words[w], scale_, x, y, n);
                    }
                    to.close(at, n, y);
                }
            });
    }

    std::string purpose_;
    std::int64_t sample_elements_;
    std::int64_t elements_;
    std::int64_t words_;
    DType input_;
    DType output_;
    float scale_;
    std::uint32_t threshold_;
    int workers_ = 1;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Dropout& op, const NodeView& view) {
    return std::make_unique<DropoutKernels>(op, view);
}

}  // namespace trireme::onednn
