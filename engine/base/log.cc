#include "engine/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>

namespace flocker {

void InitLogging(const std::string& process) {
  auto logger = spdlog::stderr_logger_mt(process);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %n[%P] %v", spdlog::pattern_time_type::utc);
  const char* level = std::getenv("FLOCKER_LOG");
  logger->set_level(spdlog::level::from_str(level != nullptr ? level : "info"));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace flocker
