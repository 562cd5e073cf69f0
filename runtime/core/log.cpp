#include "runtime/core/log.hpp"

#include <cstdlib>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace trireme::log {
namespace {

spdlog::level::level_enum spdlog_level(Level level) {
    switch (level) {
        case Level::debug:
            return spdlog::level::debug;
        case Level::info:
            return spdlog::level::info;
        case Level::warn:
            return spdlog::level::warn;
        case Level::error:
            return spdlog::level::err;
        case Level::off:
            return spdlog::level::off;
    }
    return spdlog::level::info;
}

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made =
            std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
        made->set_pattern("%H:%M:%S.%e %^%l%$ %v");
        made->flush_on(spdlog::level::debug);
        if (const char* wanted = std::getenv("TRIREME_LOG")) made->set_level(spdlog::level::from_str(wanted));
        return made;
    }();
    return *instance;
}

}  // namespace

void set_level(Level level) { logger().set_level(spdlog_level(level)); }

void set_label(std::string_view label) {
    logger().set_pattern(label.empty() ? std::string("%H:%M:%S.%e %^%l%$ %v")
                                       : fmt::format("%H:%M:%S.%e {} %^%l%$ %v", label));
}

void write(Level level, std::string_view message) { logger().log(spdlog_level(level), "{}", message); }

}  // namespace trireme::log
