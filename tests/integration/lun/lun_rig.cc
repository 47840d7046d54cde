#include "tests/integration/lun/lun_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"

namespace flocker::lun::testing {
namespace {

constexpr char kTid[] = "1";

}  // namespace

LunRig::LunRig(const std::string& directory)
    : backing_((directory.empty() ? scratch_.path() : directory) + "/backing"),
      file_(scratch_ / "lun"),
      socket_(scratch_ / "socket") {
  const unique_fd mountpoint(open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const unique_fd backing(open(backing_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(ftruncate(backing.get(), kLunSize), 0);
  Export();
}

LunRig::~LunRig() {
  if (::testing::Test::HasFailure()) fprintf(stderr, "flocker-lun's log:\n%s", log().c_str());
  client_.reset();
  if (lun_.pid > 0 && !WaitEnd(lun_.pidfd, absl::ZeroDuration())) {
    kill(lun_.pid, SIGKILL);
    EXPECT_TRUE(WaitEnd(lun_.pidfd, absl::Seconds(10)));
  }
  if (Mounted()) umount2(file_.c_str(), MNT_DETACH);
}

void LunRig::Admin(const std::vector<std::string>& args) {
  std::vector<std::string> all = {"--lld", "iscsi"};
  all.insert(all.end(), args.begin(), args.end());
  const auto result = tgtd_.Admin(all);
  EXPECT_TRUE(result.ok()) << result.status();
}

void LunRig::Export(const std::string& scsi_id) {
  Admin({"--op", "new", "--mode", "target", "--tid", kTid, "-T", kTarget});
  Admin({"--op", "new", "--mode", "logicalunit", "--tid", kTid, "--lun", "1", "-b", backing_, "--bstype", "rdwr"});
  Admin({"--op", "update", "--mode", "logicalunit", "--tid", kTid, "--lun", "1", "--params",
         absl::StrCat("thin_provisioning=1,scsi_id=", scsi_id)});
  user_.clear();
}

void LunRig::Unexport() {
  Revoke();
  Admin({"--op", "delete", "--mode", "target", "--tid", kTid, "--force"});
}

std::vector<std::string> LunRig::Sessions() {
  const auto shown = tgtd_.Admin({"--lld", "iscsi", "--op", "show", "--mode", "conn", "--tid", kTid});
  EXPECT_TRUE(shown.ok()) << shown.status();
  std::vector<std::string> sessions;
  std::istringstream lines(shown.value_or(""));
  for (std::string line; std::getline(lines, line);) {
    if (absl::StartsWith(line, "Session: ")) sessions.push_back(line.substr(9));
  }
  return sessions;
}

void LunRig::CutSessions() {
  EXPECT_TRUE(Eventually([this] {
    const auto sessions = Sessions();
    for (const std::string& sid : sessions) {
      // It may end by itself at the same moment; the poll tells.
      tgtd_.Admin({"--lld", "iscsi", "--op", "delete", "--mode", "conn", "--tid", kTid, "--sid", sid, "--cid", "0"})
          .IgnoreError();
    }
    return sessions.empty();
  }));
}

void LunRig::Revoke() {
  if (!user_.empty()) {
    Admin({"--op", "unbind", "--mode", "target", "--tid", kTid, "--initiator-name", kInitiator});
    Admin({"--op", "unbind", "--mode", "account", "--tid", kTid, "--user", user_});
    Admin({"--op", "delete", "--mode", "account", "--user", user_});
    user_.clear();
  }
  CutSessions();
}

Login LunRig::Grant() {
  Revoke();
  ++epoch_;
  user_ = absl::StrCat("epoch", epoch_);
  secret_ = RandomHex(12);
  Admin({"--op", "new", "--mode", "account", "--user", user_, "--password", secret_});
  Admin({"--op", "bind", "--mode", "account", "--tid", kTid, "--user", user_});
  Admin({"--op", "bind", "--mode", "target", "--tid", kTid, "--initiator-name", kInitiator});
  return Order();
}

Login LunRig::GrantUnfenced() {
  ++epoch_;
  return Order();
}

Login LunRig::Order() const {
  auto login = NewMessage<Login>();
  login.epoch = epoch_;
  login.lun = 1;
  EXPECT_TRUE(login.portal.Set(portal_.empty() ? tgtd_.portal() : portal_) && login.target.Set(kTarget) &&
              login.initiator.Set(kInitiator) && login.chap_user.Set(user_) && login.chap_secret.Set(secret_));
  return login;
}

void LunRig::Start(const std::vector<std::string>& more_arguments) {
  ASSERT_NO_FATAL_FAILURE(Spawn(more_arguments, {}));
  Expect<Hello>();
}

void LunRig::Die() {
  kill(lun_.pid, SIGKILL);
  ASSERT_TRUE(WaitLunEnd());
}

void LunRig::StartSuccessor(const LunClient::Received& lent, const std::vector<std::string>& more_arguments) {
  std::vector<std::string> arguments = {"--fuse-fd", "4", "--arena-fd", "5"};
  arguments.insert(arguments.end(), more_arguments.begin(), more_arguments.end());
  client_.reset();
  ASSERT_NO_FATAL_FAILURE(Spawn(arguments, {{lent.fuse.get(), 4}, {lent.arena.get(), 5}}));
  Expect<Hello>();
  Expect<SessionLost>();
}

void LunRig::Spawn(std::vector<std::string> more_arguments, std::vector<std::pair<int, int>> keep) {
  ChildOptions options;
  options.keep = std::move(keep);
  // A test that is killed takes it along: its requests must not hang whoever touches the file next.
  options.argv = {"setpriv",       "--pdeathsig", "KILL",         std::string(FLOCKER_BIN_DIR) + "/flocker-lun",
                  "--node",        "alpha",       "--dataset",    kDataset,
                  "--mount-epoch", "1",           "--mountpoint", file_,
                  "--socket",      socket_};
  options.argv.insert(options.argv.end(), more_arguments.begin(), more_arguments.end());
  const unique_fd output(open((scratch_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  options.output_fd = output.get();
  options.new_session = true;
  auto child = SpawnChild(options);
  ASSERT_TRUE(child.ok()) << child.status();
  lun_ = *std::move(child);
  ASSERT_TRUE(Eventually([this] {
    auto client = LunClient::Connect(socket_);
    if (client.ok()) client_ = *std::move(client);
    return client_.has_value();
  }));
}

LunClient::Received LunRig::Reconnect() {
  auto client = LunClient::Connect(socket_);
  EXPECT_TRUE(client.ok()) << client.status();
  auto hello = client->Receive(SteadyNow() + absl::Seconds(10));
  EXPECT_TRUE(hello.ok()) << hello.status();
  EXPECT_TRUE(std::holds_alternative<Hello>(hello->report));
  client_ = *std::move(client);
  return *std::move(hello);
}

void LunRig::StartServing(const std::vector<std::string>& more_arguments) {
  Start(more_arguments);
  Send(Grant());
  const auto ready = Expect<Ready>();
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(ready->size, kLunSize);
  EXPECT_EQ(ready->block_size, 512u);
}

void LunRig::ExpectSilence(absl::Duration time) {
  const auto received = client_->Receive(SteadyNow() + time);
  EXPECT_EQ(received.status().code(), absl::StatusCode::kDeadlineExceeded) << received.status();
}

bool LunRig::Mounted() const {
  return absl::StrContains(ReadFile("/proc/self/mountinfo").value_or(""), absl::StrCat(" ", file_, " "));
}

std::string LunRig::log() const { return ReadFile(scratch_ / "log").value_or(""); }

}  // namespace flocker::lun::testing
