// The commands of the binary. Each file of this folder gives one or more of them; the table in commands.cpp
// lists all.
#pragma once

#include <string>
#include <vector>

#include "jobs/spec/job_file.hpp"

namespace trireme::jobs {

struct Command {
    std::string name;  ///< "train", "data import"
    CommandSyntax syntax;
    int (*run)(const Arguments& arguments);  ///< returns the exit code
};

[[nodiscard]] Command train_command();
[[nodiscard]] Command eval_command();
[[nodiscard]] Command predict_command();
[[nodiscard]] Command generate_command();
[[nodiscard]] Command inspect_command();
[[nodiscard]] Command bench_train_command();
[[nodiscard]] Command bench_data_command();
[[nodiscard]] Command data_import_command();
[[nodiscard]] Command data_inspect_command();
[[nodiscard]] Command data_verify_command();
[[nodiscard]] Command data_doctor_command();
[[nodiscard]] Command checkpoint_list_command();
[[nodiscard]] Command checkpoint_verify_command();
[[nodiscard]] Command checkpoint_show_command();
[[nodiscard]] Command doctor_command();
[[nodiscard]] Command version_command();

/// Finds the command, runs it, and turns errors into messages and exit codes.
int run_command(const std::vector<std::string>& words);

}  // namespace trireme::jobs
