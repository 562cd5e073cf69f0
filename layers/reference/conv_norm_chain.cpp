// The convolutions, norms and relus of a chain, by the reference of each.
#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

using Values = std::vector<double>;
using Inputs = std::vector<std::span<const double>>;

constexpr std::size_t params_of_link = 3;

/// A link as its two ops, the norm with what stands behind it.
struct Link {
    Conv2d conv;
    BatchNorm norm;
    std::vector<Shape> in;   ///< of the convolution
    std::vector<Shape> out;  ///< of the norm: its input, and the residual's where there is one
    std::int64_t batch = 0;
    std::size_t elements = 0;  ///< of its output

    [[nodiscard]] Extents conv_extents() const { return {in, out.front(), batch}; }
    [[nodiscard]] Extents norm_extents() const { return {out, out.front(), batch}; }
};

std::vector<Link> links_of(const ConvNormChain& op, const Extents& e) {
    const std::vector<Shape> shapes = shapes_along(op, e.inputs.front());
    std::vector<Link> links;
    for (std::size_t i = 0; i < op.links.size(); ++i) {
        Link link{op.links[i].conv, op.links[i].norm, {shapes[i]}, {shapes[i + 1]}, e.batch, 0};
        link.elements = static_cast<std::size_t>(shapes[i + 1].elements().value * e.batch);
        if (i + 1 < op.links.size()) {
            link.norm.activation = Activation::relu;
        } else {
            link.norm.activation = op.activation;
            link.norm.residual = op.residual != ChainResidual::none;
            if (link.norm.residual) link.out.push_back(shapes[i + 1]);
        }
        links.push_back(std::move(link));
    }
    return links;
}

/// What the norm of a link reads: the convolution's result, and what the chain adds at its end.
Inputs norm_inputs(const ConvNormChain& op, const Link& link, const Values& product, const Inputs& inputs) {
    if (!link.norm.residual) return {product};
    return {product, inputs[op.residual == ChainResidual::second ? 1 : 0]};
}

/// The part of a list that belongs to link i, `each` of them; empty where the list is.
template <class T>
std::vector<T> part(const std::vector<T>& list, std::size_t i, std::size_t each) {
    if (list.empty()) return {};
    const auto first = list.begin() + static_cast<std::ptrdiff_t>(i * each);
    return {first, first + static_cast<std::ptrdiff_t>(each)};
}

/// Forward, with what it computes on its way.
struct Between {
    template <class Io>
    Between(const ConvNormChain& op, const std::vector<Link>& links, const Io& io,
            std::span<double> statistics = {}) {
        std::size_t told = 0;
        for (std::size_t i = 0; i < links.size(); ++i) {
            const Link& link = links[i];
            const Inputs params = part(io.params, i, params_of_link);
            products.emplace_back(link.elements);
            const Inputs in = i == 0 ? Inputs{io.inputs.front()} : Inputs{outputs.back()};
            run(link.conv, link.conv_extents(),
                {.inputs = in, .params = {params[0]}, .output = products.back()});
            outputs.emplace_back(link.elements);
            const auto own = static_cast<std::size_t>(statistics_of(link.norm, link.out.front()));
            run(link.norm, link.norm_extents(),
                {.inputs = norm_inputs(op, link, products.back(), io.inputs),
                 .params = {params[1], params[2]},
                 .output = outputs.back(),
                 .training = io.training,
                 .buffers = part(io.buffers, i, 2),
                 .statistics = statistics.empty() ? statistics : statistics.subspan(told, own)});
            told += own;
        }
    }

    std::vector<Values> products;  ///< of the convolutions
    std::vector<Values> outputs;   ///< of the norms, behind relu and residual
};

}  // namespace

void run(const ConvNormChain& op, const Extents& e, const ForwardIo& io) {
    const std::vector<Link> links = links_of(op, e);
    const Between between(op, links, io, io.training ? io.statistics : std::span<double>{});
    std::copy(between.outputs.back().begin(), between.outputs.back().end(), io.output.begin());
}

void run_back(const ConvNormChain& op, const Extents& e, const BackwardIo& io) {
    const std::vector<Link> links = links_of(op, e);
    const Between between(op, links, io);
    const bool adds_input = op.residual == ChainResidual::input;
    Values d_residual(op.residual == ChainResidual::none ? 0 : links.back().elements);
    Values d_output(io.d_output.begin(), io.d_output.end());
    for (std::size_t i = links.size(); i-- > 0;) {
        const Link& link = links[i];
        const bool last = i + 1 == links.size();
        const Inputs params = part(io.params, i, params_of_link);
        const std::vector<std::span<double>> d_params = part(io.d_params, i, params_of_link);
        Values d_product(link.elements);
        run_back(link.norm, link.norm_extents(),
                 {.inputs = norm_inputs(op, link, between.products[i], io.inputs),
                  .params = {params[1], params[2]},
                  .output = last ? io.output : std::span<const double>(between.outputs[i]),
                  .d_output = d_output,
                  .d_inputs = {d_product, last ? std::span<double>(d_residual) : std::span<double>{}},
                  .d_params = {wanted(d_params, 1), wanted(d_params, 2)},
                  .training = io.training,
                  .buffers = part(io.buffers, i, 2)});
        Values d_in(i == 0 ? 0 : links[i - 1].elements);
        run_back(link.conv, link.conv_extents(),
                 {.inputs = i == 0 ? Inputs{io.inputs.front()} : Inputs{between.outputs[i - 1]},
                  .params = {params[0]},
                  .output = {},
                  .d_output = d_product,
                  .d_inputs = {i == 0 ? wanted(io.d_inputs, 0) : std::span<double>(d_in)},
                  .d_params = {wanted(d_params, 0)}});
        d_output = std::move(d_in);
    }
    const std::span<double> to = wanted(io.d_inputs, adds_input ? 0 : 1);
    if (op.residual == ChainResidual::none || to.empty()) return;
    for (std::size_t n = 0; n < to.size(); ++n) to[n] = (adds_input ? to[n] : 0) + d_residual[n];
}

}  // namespace trireme::layers::reference
