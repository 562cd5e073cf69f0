// Transformers that predict the next token, in the form of GPT-2 (Radford and others, "Language Models are
// Unsupervised Multitask Learners", 2019): learned positions, layer norms in front of attention and MLP, gelu
// in its tanh form, and the table of token vectors once more as the head.
//
//     tokens [T] --> wte --> wpe --> h.0 --> ... --> ln_f --> head (wte again) --> next-token cross-entropy
//
//     a block:  x --> ln_1 --> attn.c_attn --> attention --> attn.c_proj --> add --> (x')
//                \-----------------------------------------------------------/
//               x' -> ln_2 --> mlp.c_fc --> gelu --> mlp.c_proj --> add --> next block
//                \---------------------------------------------------/
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/models/model_spec.hpp"
#include "layers/graph.hpp"

namespace trireme::jobs {

/// The sizes of one network.
struct GptShape {
    std::int64_t context = 0;  ///< T, tokens of a sample
    std::int64_t layers = 0;
    std::int64_t heads = 0;
    std::int64_t width = 0;       ///< C; heads divide it
    std::int64_t vocabulary = 0;  ///< V
    double dropout = 0;           ///< behind the embeddings and at the end of each branch
};

/// "gpt-char" and "gpt2-124m".
[[nodiscard]] std::vector<std::string> gpt_names();
[[nodiscard]] bool is_gpt(std::string_view preset);

/// Tokens of a sample for the preset that `spec` names, with what the job says of it; empty where the network
/// takes no tokens.
[[nodiscard]] std::optional<std::int64_t> token_context(const ModelSpec& spec);

/// Parameters have GPT-2's names (wte.weight, h.0.attn.c_attn.bias, ln_f.weight), weights of linear layers as
/// [out, in]. Initial weights are normal with deviation 0.02, those at the end of a branch divided by
/// sqrt(2 layers), biases zero. Throws ConfigError with all mistakes.
[[nodiscard]] layers::ModelGraph build_gpt(const ModelSpec& spec);

}  // namespace trireme::jobs
