#include "tests/contract/array/array_world.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace flocker::testing {

LocalWorld::LocalWorld(const std::string& pool)
    : pool_(pool.empty() ? scratch_ / "the pool" : pool),
      array_({.pool = pool_, .fence_timeout = absl::Milliseconds(1500)}) {
  if (!MakeDirectories(pool_).ok()) std::abort();
}

TgtWorld::TgtWorld(std::vector<std::string> prefix, const std::string& pool)
    : pool_(pool.empty() ? scratch_ / "the pool" : pool), prefix_(std::move(prefix)) {
  if (!MakeDirectories(pool_).ok()) std::abort();
  array_ = NewArray();
}

std::unique_ptr<TgtArray> TgtWorld::NewArray() const {
  TgtConfig config;
  config.pool = pool_;
  config.control_number = tgtd_.control_number();
  config.portal = tgtd_.portal();
  config.command_prefix = prefix_;
  config.fence_timeout = absl::Milliseconds(500);
  return std::make_unique<TgtArray>(config);
}

DatasetId Id(int n) {
  return *DatasetId::Parse(absl::StrCat("5e55105e-0000-4000-8000-", absl::Dec(n, absl::kZeroPad12)));
}

Grant GrantOf(const DatasetId& id, int node, uint64_t epoch) {
  Grant grant;
  grant.epoch = epoch;
  grant.node = *NodeId::Parse(Id(node).str());
  grant.initiator = absl::StrCat("iqn.2026-11.io.flocker:node", node, "-", id.Short(), "-", epoch);
  grant.user = absl::StrCat(id.Short(), "-e", epoch);
  grant.secret = absl::StrCat("it's ", absl::Dec(node, absl::kZeroPad4), absl::Dec(epoch, absl::kZeroPad4));
  return grant;
}

bool Eventually(const std::function<bool()>& condition, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

absl::StatusOr<Initiator> LoggedIn(const LunAddress& address, const Grant& grant) {
  ASSIGN_OR_RETURN(Initiator initiator, Initiator::Login(address, grant));
  RETURN_IF_ERROR(Eventually([&] { return initiator.TestUnitReady().ok(); })
                      ? absl::OkStatus()
                      : absl::InternalError("the unit does not become ready"));
  return initiator;
}

}  // namespace flocker::testing
