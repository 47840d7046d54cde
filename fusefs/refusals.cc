#include "fusefs/refusals.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr absl::Duration kQuiet = absl::Seconds(1);
// Told long ago; forgotten once there are this many.
constexpr size_t kRemember = 1000;
// What is told in all: anybody can be refused as often as he likes, and control writes each on its disk.
constexpr double kBurst = 100;
constexpr double kPerSecond = 1;

// A refused name can be any bytes: neither a log's line nor a protobuf's string takes them as they are.
std::string Printable(const std::string& name) { return absl::CHexEscape(name); }

void Log(const Refusals::Subject& subject, const absl::Status& why) {
  spdlog::warn("refused {}{}{}: {}: {}", Printable(subject.name), subject.dataset.empty() ? "" : " ",
               subject.dataset.str(), CauseName(CauseOf(why)), std::string(why.message()));
}

}  // namespace

bool Refusals::Fresh(const Subject& subject, const absl::Status& why) {
  const absl::Time now = SteadyNow();
  MutexLock lock(mutex_);
  if (told_.size() > kRemember) {
    absl::erase_if(told_, [&](const auto& entry) { return now - entry.second >= kQuiet; });
  }
  const std::string key = absl::StrCat(subject.dataset.str(), "/", subject.name, "/", static_cast<int>(CauseOf(why)));
  const auto last = told_.find(key);
  if (last != told_.end() && now - last->second < kQuiet) return false;
  allowance_ = std::min(kBurst, allowance_ + kPerSecond * absl::ToDoubleSeconds(now - counted_));
  counted_ = now;
  if (allowance_ < 1) {
    ++untold_;
    return false;
  }
  --allowance_;
  if (untold_ != 0) spdlog::warn("{} refusals were not told: there are too many", std::exchange(untold_, 0));
  told_[key] = now;
  return true;
}

void Refusals::Here(const Subject& subject, const absl::Status& why) {
  if (!Fresh(subject, why)) return;
  Log(subject, why);
  rpc::Refusal refusal;
  refusal.set_dataset_id(subject.dataset.str());
  refusal.set_name(Printable(subject.name));
  refusal.set_cause(std::string(CauseName(CauseOf(why))));
  refusal.set_message(std::string(why.message()));
  send_(refusal);
}

void Refusals::Answered(const Subject& subject, const absl::Status& why) {
  if (Fresh(subject, why)) Log(subject, why);
}

}  // namespace flocker
