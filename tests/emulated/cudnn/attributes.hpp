// Which attributes a descriptor has, of which type and how many elements, as cudnn_graph.h and the
// documentation of the backend API have them. An attribute that no graph of ours needs is not listed, and
// asking for it is an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <cudnn.h>

namespace trireme::emulated::dnn {

enum class Access : std::uint8_t { required, optional, answer };  ///< an answer is read, and never set

struct AttributeRule {
    cudnnBackendDescriptorType_t owner;
    cudnnBackendAttributeName_t name;
    const char* text;
    cudnnBackendAttributeType_t type;
    std::int64_t most;  ///< elements; at least one is set
    Access access;
};

/// Null where the descriptor has no such attribute.
[[nodiscard]] const AttributeRule* rule_of(cudnnBackendDescriptorType_t owner,
                                           cudnnBackendAttributeName_t name);
[[nodiscard]] std::span<const AttributeRule> all_rules();
/// Null where the library does not know the descriptor.
[[nodiscard]] const char* name_of(cudnnBackendDescriptorType_t type);
/// Bytes of one element.
[[nodiscard]] std::size_t size_of(cudnnBackendAttributeType_t type);

}  // namespace trireme::emulated::dnn
