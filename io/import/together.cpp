#include "io/import/together.hpp"

#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

using nlohmann::json;

/// What one member says to the others after a phase: its result, or its error.
struct Outcome {
    std::string result;
    std::exception_ptr error;
    std::string message;
    ErrorClass error_class = ErrorClass::internal;
};

Outcome attempt(const std::function<std::string()>& work) {
    Outcome outcome;
    try {
        outcome.result = work();
    } catch (const Error& error) {
        outcome.error = std::current_exception();
        outcome.message = error.what();
        outcome.error_class = error.error_class();
    } catch (const std::exception& error) {
        outcome.error = std::current_exception();
        outcome.message = error.what();
    }
    return outcome;
}

}  // namespace

std::vector<std::string> together(const ImportTeam& team, const std::function<std::string()>& work) {
    const Outcome mine = attempt(work);
    const json said = {{"result", mine.result},
                       {"failed", mine.error != nullptr},
                       {"message", mine.message},
                       {"class", static_cast<int>(mine.error_class)}};
    const std::vector<std::string> texts =
        team.all_gather(said.dump(-1, ' ', false, json::error_handler_t::replace));
    if (mine.error) std::rethrow_exception(mine.error);
    std::vector<std::string> results;
    for (std::size_t r = 0; r < texts.size(); ++r) {
        const json other = json::parse(texts[r]);
        if (other.at("failed").get<bool>()) {
            throw Error(static_cast<ErrorClass>(other.at("class").get<int>()),
                        fmt::format("the import was given up because rank {} failed: {}", r,
                                    other.at("message").get<std::string>()));
        }
        results.push_back(other.at("result").get<std::string>());
    }
    return results;
}

}  // namespace trireme::io
