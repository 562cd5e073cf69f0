// What tests of model builders ask for, and what they are told.
#pragma once

#include <string>

#include "jobs/models/model_spec.hpp"
#include "runtime/core/error.hpp"

namespace trireme::test {

inline jobs::ModelSpec preset(const std::string& name) {
    jobs::ModelSpec spec;
    spec.name = name;
    return spec;
}

/// What a builder finds wrong; "none" where it builds.
inline std::string model_mistakes(const jobs::ModelSpec& spec) {
    try {
        (void)build_model(spec);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "none";
}

}  // namespace trireme::test
