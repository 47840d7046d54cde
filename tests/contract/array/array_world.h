// An array of each kind with everything it stands on, for the contract tests.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/array/local.h"
#include "engine/array/tgt.h"
#include "tests/contract/array/initiator.h"
#include "tests/harness/scratch.h"
#include "tests/harness/tgtd.h"

namespace flocker::testing {

// What a contract test may do to the array beyond its interface.
class ArrayWorld {
 public:
  virtual ~ArrayWorld() = default;
  virtual Array& array() = 0;
  virtual std::string BackingFile(const DatasetId& id) const = 0;
  virtual pid_t server(const Initiator& user) const = 0;  // the process that does the LUN's I/O
};

class LocalWorld final : public ArrayWorld {
 public:
  // Without a pool, one of its own.
  explicit LocalWorld(const std::string& pool = "");

  Array& array() override { return array_; }
  std::string BackingFile(const DatasetId& id) const override { return pool_ + "/" + id.str() + ".img"; }
  pid_t server(const Initiator& user) const override { return user.file()->pid(); }

 private:
  const ScratchDir scratch_;
  const std::string pool_;
  LocalArray array_;
};

class TgtWorld final : public ArrayWorld {
 public:
  // `prefix` and `pool` as in TgtConfig; without a pool, one of its own.
  explicit TgtWorld(std::vector<std::string> prefix = {}, const std::string& pool = "");

  Array& array() override { return *array_; }
  std::string BackingFile(const DatasetId& id) const override { return pool_ + "/" + id.str() + ".img"; }
  pid_t server(const Initiator& /*user*/) const override { return tgtd_.pid(); }
  pid_t server() const { return tgtd_.pid(); }
  void KillServer() { tgtd_.Kill(); }
  void StartServer() { tgtd_.Start(); }

  Tgtd& tgtd() { return tgtd_; }
  const std::string& pool() const { return pool_; }
  std::unique_ptr<TgtArray> NewArray() const;  // as a restarted control would make it

 private:
  const ScratchDir scratch_;
  const std::string pool_;
  const std::vector<std::string> prefix_;
  Tgtd tgtd_;
  std::unique_ptr<TgtArray> array_;
};

DatasetId Id(int n);

// A grant of dataset `id`: node n, epoch e.
Grant GrantOf(const DatasetId& id, int node, uint64_t epoch);

// Polls until the condition holds; false when `timeout` passed first.
bool Eventually(const std::function<bool()>& condition, absl::Duration timeout = absl::Seconds(10));

// Logged in, with the unit attention of a fresh session taken.
absl::StatusOr<Initiator> LoggedIn(const LunAddress& address, const Grant& grant);

}  // namespace flocker::testing
