// What a job asks of its network, and the network built from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "io/data_set.hpp"
#include "jobs/models/loss.hpp"
#include "layers/graph.hpp"

namespace trireme::jobs {

/// What a data set lays down for the network.
struct ModelData {
    std::string folder;
    Shape input;
    std::string target_kind = "class";  ///< "class", "multi-hot", "float" or "next-token"
    Shape target_shape;                 ///< {} for a class, {k} for vectors, {T} for tokens
    std::int64_t classes = 0;           ///< outputs that the network needs: classes, k, or different tokens
};

[[nodiscard]] ModelData model_data(const io::DataSetInfo& set);

/// What a job says of the sizes of a gpt preset; empty: the preset's own.
struct GptKeys {
    std::optional<std::int64_t> context;
    std::optional<std::int64_t> layers;
    std::optional<std::int64_t> heads;
    std::optional<std::int64_t> width;
    std::optional<std::int64_t> vocabulary;
    std::optional<double> dropout;
};

struct ModelSpec {
    std::string name;                     ///< preset; empty where `file` describes the network
    std::filesystem::path file;           ///< TOML model file
    std::optional<Shape> input;           ///< sample shape; empty: the data set's, the file's or the preset's
    std::optional<std::int64_t> classes;  ///< empty: the file's, the data set's or the preset's
    std::vector<std::int64_t> hidden;     ///< mlp
    GptKeys gpt;
    std::optional<LossKind> loss;           ///< empty: the file's, or what fits the data set's targets
    std::optional<double> label_smoothing;  ///< empty: the file's, or none
    std::optional<ModelData> data;          ///< empty: planned without a data set
};

/// Names of the presets.
[[nodiscard]] std::vector<std::string> preset_names();

/// Builds the graph: bias and activations as nodes of their own; fusions are rewrites. Throws ConfigError
/// with all mistakes.
///
/// Presets (input and classes where neither the job nor a data set says):
///
///     lenet            28x28x1, 10: conv 20 5x5, pool, conv 50 5x5, pool, 500, classes (ReLU between), after
///                      LeCun and others 1998 in the sizes that Caffe's example made common; 431,080
///                      parameters
///     mlp              28x28x1, 10: model.hidden widths with ReLU between
///     vgg11            224x224x3, 1000: configuration A of Simonyan and Zisserman 2015; 132,863,336
///     parameters resnet18-cifar   32x32x3, 10: He and others 2016 with a 3x3 stem and no max pool;
///     11,173,962 parameters resnet50         224x224x3, 1000: the same with bottlenecks whose 3x3
///     convolution has the stride ("v1.5");
///                      25,557,032 parameters
///
/// Parameter names of the last three, and their shapes and order, are those of torchvision's models. The
/// presets gpt-char and gpt2-124m are told in gpt.hpp.
[[nodiscard]] layers::ModelGraph build_model(const ModelSpec& spec);

}  // namespace trireme::jobs
