#include "engine/rpc/refusal_log.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"

namespace flocker {
namespace {

constexpr absl::Duration kOnce = absl::Minutes(1);

}  // namespace

void RefusalLog::Say(const std::string& text) {
  if (IsNews(text, SteadyNow())) spdlog::warn("{}", text);
}

bool RefusalLog::IsNews(const std::string& text, absl::Time now) {
  const MutexLock lock(mutex_);
  std::erase_if(said_, [&](const auto& item) { return now - item.second >= kOnce; });
  return said_.size() < kTexts && said_.emplace(text, now).second;
}

}  // namespace flocker
