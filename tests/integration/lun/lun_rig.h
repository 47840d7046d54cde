// The topology of these tests:
//
//     test process --file--> FUSE --> flocker-lun --iSCSI--> tgtd --> sparse backing file
//          |                              |
//          +-------- LunClient -----------+        (the test plays the agent, and control with tgtadm)
//
// Gone in the order that cannot hang, on every path: flocker-lun first (its requests fail then), mount, tgtd, files.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "engine/base/subprocess.h"
#include "engine/lun/client.h"
#include "tests/harness/scratch.h"
#include "tests/harness/tgtd.h"

namespace flocker::lun::testing {

inline constexpr char kTarget[] = "iqn.2026-01.test.flocker:lun";
inline constexpr char kInitiator[] = "iqn.2026-01.test.flocker:node";
inline constexpr char kDataset[] = "0f9f1c3e-0000-4000-8000-00000000beef";
inline constexpr uint64_t kLunSize = uint64_t{256} << 20;

class LunRig {
 public:
  // tgtd with one target and LUN 1 of kLunSize over backing(), in `directory` when given, else in the scratch
  // directory.
  explicit LunRig(const std::string& directory = "");
  ~LunRig();
  LunRig(const LunRig&) = delete;
  LunRig& operator=(const LunRig&) = delete;

  // As control after a restart of tgtd: target and LUN again, over the same file. `scsi_id` names the LUN in VPD 0x83.
  void Export(const std::string& scsi_id = "flocker-test-1");
  // Removes what Export made, the sessions first.
  void Unexport();

  // Starts flocker-lun and connects; kHello is taken.
  void Start(const std::vector<std::string>& more_arguments = {});
  // SIGKILL; dead when it returns.
  void Die();
  // As the agent: starts a successor of a dead process with what `lent` (of Reconnect) holds, and connects; kHello and
  // kSessionLost are taken.
  void StartSuccessor(const LunClient::Received& lent, const std::vector<std::string>& more_arguments = {});
  // A second connection, as after a restart of the agent; its kHello is the result.
  LunClient::Received Reconnect();

  void Disconnect() { client_.reset(); }

  // As control: nobody gets in any more, and the sessions that are there are gone when it returns.
  void Revoke();
  // Revoke, then a grant of a later epoch with a fresh secret.
  Login Grant();
  // As control must never do it: a later epoch for the account of the last grant, whose sessions go on.
  Login GrantUnfenced();
  // Where logins go to instead of tgtd itself.
  void set_portal(const std::string& portal) { portal_ = portal; }
  // The sessions that tgtd has, by id.
  std::vector<std::string> Sessions();
  // The sessions end; what may log in stays.
  void CutSessions();
  // Start, Grant, and the answer to it is kReady.
  void StartServing(const std::vector<std::string>& more_arguments = {});

  template <class M>
  void Send(const M& message) {
    const absl::Status sent = client_->Send(message);
    ASSERT_TRUE(sent.ok()) << sent;
  }
  // The next message must be an M.
  template <class M>
  std::optional<M> Expect(absl::Duration within = absl::Seconds(20)) {
    auto received = client_->Receive(absl::Now() + within);
    if (!received.ok()) {
      ADD_FAILURE() << "expected message " << static_cast<int>(M::kKind) << ": " << received.status();
      return std::nullopt;
    }
    if (!std::holds_alternative<M>(received->report)) {
      const auto kind = std::visit([](const auto& m) { return m.header.kind; }, received->report);
      std::string text;
      if (const auto* lost = std::get_if<SessionLost>(&received->report)) text = lost->reason.view();
      if (const auto* failed = std::get_if<Failed>(&received->report)) text = failed->what.view();
      ADD_FAILURE() << "expected message " << static_cast<int>(M::kKind) << ", got " << static_cast<int>(kind) << " "
                    << text;
      return std::nullopt;
    }
    return std::get<M>(received->report);
  }
  // The next message, whatever it is; kFailed with no text when none comes within 20 s.
  Report Next() {
    auto received = client_->Receive(absl::Now() + absl::Seconds(20));
    EXPECT_TRUE(received.ok()) << received.status();
    return received.ok() ? received->report : Report(NewMessage<Failed>());
  }
  // No message comes for that long.
  void ExpectSilence(absl::Duration time);

  // False when flocker-lun does not end within 20 s.
  bool WaitLunEnd() { return WaitEnd(lun_.pidfd, absl::Seconds(20)); }
  bool Mounted() const;

  flocker::testing::Tgtd& tgtd() { return tgtd_; }
  pid_t pid() const { return lun_.pid; }
  const std::string& file() const { return file_; }
  const std::string& directory() const { return scratch_.path(); }
  const std::string& backing() const { return backing_; }
  const std::string& socket() const { return socket_; }
  std::string log() const;

 private:
  void Admin(const std::vector<std::string>& args);
  Login Order() const;
  void Spawn(std::vector<std::string> more_arguments, std::vector<std::pair<int, int>> keep);

  flocker::testing::ScratchDir scratch_;
  flocker::testing::Tgtd tgtd_;
  std::string backing_;
  std::string file_;
  std::string socket_;
  Child lun_;
  std::optional<LunClient> client_;
  uint64_t epoch_ = 0;
  std::string user_;
  std::string secret_;
  std::string portal_;
};

// What a write came back with; -1 and a failure when it does not come back within 20 s (the rig's end will fail it
// then).
inline int Outcome(std::future<int>& write) {
  if (write.wait_for(std::chrono::seconds(20)) == std::future_status::ready) return write.get();
  ADD_FAILURE() << "a request was never answered";
  return -1;
}

// Polls until `condition` holds; false when it does not within 20 s.
template <class F>
bool Eventually(F condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace flocker::lun::testing
