#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/doctor.hpp"
#include "io/verify.hpp"
#include "jobs/commands/commands.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

CommandSyntax inspect_syntax() {
    CommandSyntax s;
    s.usage = "trireme data inspect DIR [--json]";
    s.about =
        "Shows what a data set holds: splits, samples, classes, blocks, source and licence. Reads no "
        "samples.";
    s.example = "trireme data inspect datasets/mnist";
    s.positionals = 1;
    s.flags = {{"json", false, "print one JSON object"}};
    return s;
}

CommandSyntax verify_syntax() {
    CommandSyntax s;
    s.usage = "trireme data verify DIR [--json]";
    s.about =
        "Reads every block of a data set and compares its checksum; names what is damaged. Ends with code 3 "
        "when anything is.";
    s.example = "trireme data verify datasets/mnist";
    s.positionals = 1;
    s.flags = {{"json", false, "print one JSON object"}};
    return s;
}

CommandSyntax doctor_syntax() {
    CommandSyntax s;
    s.usage = "trireme data doctor DIR [--json]";
    s.about =
        "Reads every sample of a data set and looks for what makes training worse: uneven classes, equal "
        "samples in "
        "two splits, NaN and constant inputs, unsuitable blocks. Every finding comes with a remedy. Ends "
        "with code 3 "
        "when one of them spoils training (damage, NaN).";
    s.example = "trireme data doctor datasets/mnist";
    s.positionals = 1;
    s.flags = {{"json", false, "print one JSON object"}};
    return s;
}

int run_data_inspect(const Arguments& arguments) {
    const io::DataSetSummary summary = io::summarize_data_set(arguments.positional.front());
    fmt::print("{}\n", arguments.has("json") ? summary.json() : summary.text());
    return 0;
}

int run_data_verify(const Arguments& arguments) {
    const io::VerifyReport report = io::verify_data_set(arguments.positional.front());
    if (arguments.has("json")) {
        const nlohmann::ordered_json json{{"schema", 1},
                                          {"good", report.good()},
                                          {"blocks", report.blocks},
                                          {"samples", report.samples},
                                          {"bytes", report.bytes},
                                          {"problems", report.problems},
                                          {"messages", report.messages}};
        fmt::print("{}\n", json.dump(2));
    }
    report.require_good();
    if (!arguments.has("json")) {
        fmt::print("{}: {} samples in {} blocks, {}: every checksum is right\n", arguments.positional.front(),
                   report.samples, report.blocks, human_bytes(Bytes(report.bytes)));
    }
    return 0;
}

int run_data_doctor(const Arguments& arguments) {
    const io::DoctorReport report = io::examine_data_set(arguments.positional.front());
    fmt::print("{}{}", arguments.has("json") ? report.json() : report.text(),
               arguments.has("json") ? "\n" : "");
    return report.worst() == io::DataFinding::Status::bad ? exit_code_of(ErrorClass::data) : 0;
}

}  // namespace

Command data_inspect_command() { return {"data inspect", inspect_syntax(), run_data_inspect}; }
Command data_verify_command() { return {"data verify", verify_syntax(), run_data_verify}; }

Command data_doctor_command() { return {"data doctor", doctor_syntax(), run_data_doctor}; }

}  // namespace trireme::jobs
