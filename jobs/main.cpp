#include "jobs/commands/commands.hpp"

int main(int argc, char** argv) { return trireme::jobs::run_command({argv + 1, argv + argc}); }
