// The session to a file of this machine, its threads included: the tests of it that the sanitizers run. With a whole
// flocker-lun above it, it is in contract/array and fault/matrix.
#include "engine/lun/file_session.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <random>

#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "tests/harness/scratch.h"

namespace flocker::lun {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint32_t kBlock = 512;
constexpr size_t kSize = size_t{8} << 20;
constexpr uint32_t kCommands = 32;
constexpr absl::Duration kPatience = absl::Seconds(20);

class FileSessionTest : public ::testing::Test, public Session::Owner {
 protected:
  void SetUp() override {
    ASSERT_TRUE(ReplaceFile(file_, std::string(kSize, '\0')).ok());
    ASSERT_TRUE(SetDoor(file_, {true, kUser}).ok());
    ASSERT_TRUE(login_.target.Set(file_));
    ASSERT_TRUE(login_.initiator.Set(kUser));
    session_ = std::make_unique<FileSession>(*this, kCommands);
  }

  void Probed(const Geometry& geometry) override { geometry_ = geometry; }
  void Answered(uint32_t tag, const Command16& /*command*/, const ScsiAnswer& answer) override {
    answers_[tag] = answer;
  }
  void Lost(Loss loss, const std::string& /*reason*/) override { losses_.push_back(loss); }

  // One turn of an event loop.
  void Turn() {
    pollfd ready{session_->fd(), static_cast<short>(session_->events()), 0};
    ASSERT_GE(poll(&ready, 1, session_->open() ? 100 : 0), 0);
    if (ready.revents != 0) session_->Service(ready.revents);
    session_->Flush();
  }
  template <class Condition>
  bool Until(Condition condition) {
    for (const absl::Time end = SteadyNow() + kPatience; !condition();) {
      if (SteadyNow() > end) return false;
      Turn();
    }
    return true;
  }
  bool Open() {
    geometry_.reset();
    if (!session_->Open(login_, {}).ok()) return false;
    session_->Flush();
    return Until([&] { return geometry_.has_value(); });
  }
  // What the session answers to one command.
  ScsiAnswer Ask(const Command16& command) {
    answers_.erase(0);
    EXPECT_TRUE(session_->Issue(0, command, kBlock, {}));
    EXPECT_TRUE(Until([&] { return answers_.contains(0); }));
    return answers_[0];
  }

  static constexpr char kUser[] = "iqn.2026-01.test:one";
  const flocker::testing::ScratchDir dir_;
  const std::string file_ = dir_ / "lun";
  Login login_{};
  std::unique_ptr<FileSession> session_;
  std::optional<Geometry> geometry_;
  std::map<uint32_t, ScsiAnswer> answers_;
  std::vector<Loss> losses_;
};

TEST_F(FileSessionTest, SaysWhatTheFileIsAndWhenItHasGrown) {
  ASSERT_TRUE(Open());
  EXPECT_TRUE(session_->up());
  EXPECT_EQ(geometry_->size(), kSize);
  const std::string identity = geometry_->identity;
  ASSERT_EQ(truncate(file_.c_str(), 2 * kSize), 0);
  geometry_.reset();
  session_->Check({});
  ASSERT_TRUE(Until([&] { return geometry_.has_value(); }));
  EXPECT_EQ(geometry_->size(), 2 * kSize);
  EXPECT_EQ(geometry_->identity, identity);
}

// Commands whose order does not matter, as many at a time as there may be: after each lot the file is what it should
// be.
TEST_F(FileSessionTest, DoesWhatItIsTold) {
  ASSERT_TRUE(Open());
  std::mt19937 random(1);
  std::string expected(kSize, '\0');
  constexpr size_t kShare = kSize / kCommands;  // of the file, for each command of a lot
  for (int lot = 0; lot < 60; ++lot) {
    answers_.clear();
    std::vector<std::string> buffers(kCommands);
    std::vector<Command16> commands(kCommands);
    for (uint32_t tag = 0; tag < kCommands; ++tag) {
      Command16& command = commands[tag];
      command.verb = std::array{
          Verb::kRead, Verb::kWrite, Verb::kWrite, Verb::kUnmap, Verb::kWriteSame, Verb::kFlush}[random() % 6];
      command.offset = tag * kShare + random() % (kShare / 2) / kBlock * kBlock;
      command.length = (1 + random() % (kShare / 2 / kBlock)) * kBlock;
      buffers[tag].assign(command.length, static_cast<char>('a' + random() % 26));
      command.data = reinterpret_cast<std::byte*>(buffers[tag].data());
      ASSERT_TRUE(session_->Issue(tag, command, kBlock, {}));
    }
    ASSERT_TRUE(Until([&] { return answers_.size() == kCommands; }));
    for (uint32_t tag = 0; tag < kCommands; ++tag) {
      const Command16& command = commands[tag];
      EXPECT_EQ(answers_[tag].status, SCSI_STATUS_GOOD);
      char* const place = expected.data() + command.offset;
      if (command.verb == Verb::kRead) {
        EXPECT_EQ(std::memcmp(buffers[tag].data(), place, command.length), 0);
      } else if (command.verb == Verb::kWrite) {
        std::memcpy(place, buffers[tag].data(), command.length);
      } else if (command.verb != Verb::kFlush) {
        std::memset(place, 0, command.length);
      }
    }
    ASSERT_EQ(*ReadFile(file_), expected) << "lot " << lot;
  }
}

// The next session could begin as soon as Close has returned, and the buffers may be gone.
TEST_F(FileSessionTest, AfterItsEndNothingArrivesAndNobodyIsAnswered) {
  std::mt19937 random(2);
  for (int round = 0; round < 40; ++round) {
    ASSERT_TRUE(Open());
    answers_.clear();
    std::vector<std::string> buffers(kCommands, std::string(kSize / kCommands, static_cast<char>('A' + round % 26)));
    for (uint32_t tag = 0; tag < kCommands; ++tag) {
      auto* const data = reinterpret_cast<std::byte*>(buffers[tag].data());
      ASSERT_TRUE(
          session_->Issue(tag, {Verb::kWrite, tag * buffers[tag].size(), buffers[tag].size(), data}, kBlock, {}));
    }
    for (auto turns = random() % 3; turns > 0; --turns) Turn();
    const size_t answered = answers_.size();
    session_->Close();
    EXPECT_FALSE(session_->open());
    const std::string at_close = *ReadFile(file_);
    for (const auto& [tag, answer] : answers_) {
      EXPECT_EQ(at_close.compare(tag * buffers[tag].size(), buffers[tag].size(), buffers[tag]), 0);
    }
    buffers.clear();
    Turn();
    EXPECT_EQ(answers_.size(), answered);
    ASSERT_EQ(*ReadFile(file_), at_close);
  }
  EXPECT_THAT(losses_, IsEmpty());
}

TEST_F(FileSessionTest, EndsWhenTheDoorChangesAndComesInOnlyThroughItsOwn) {
  ASSERT_TRUE(Open());
  ASSERT_TRUE(SetDoor(file_, {true, "iqn.2026-01.test:other"}).ok());
  ASSERT_TRUE(Until([&] { return !losses_.empty(); }));
  EXPECT_THAT(losses_, ElementsAre(Loss::kConnection));
  EXPECT_FALSE(session_->open());
  EXPECT_EQ(session_->Open(login_, {}).code(), absl::StatusCode::kPermissionDenied);
  ASSERT_TRUE(SetDoor(file_, {true, kUser}).ok());
  EXPECT_TRUE(Open());
}

TEST_F(FileSessionTest, AFileThatWasCutShortIsAnError) {
  ASSERT_TRUE(Open());
  ASSERT_EQ(truncate(file_.c_str(), kBlock), 0);
  std::string buffer(2 * kBlock, '\0');
  const ScsiAnswer answer = Ask({Verb::kRead, 0, buffer.size(), reinterpret_cast<std::byte*>(buffer.data())});
  EXPECT_EQ(answer.status, SCSI_STATUS_CHECK_CONDITION);
  EXPECT_EQ(answer.key, SCSI_SENSE_HARDWARE_ERROR);
}

// The kernel tells a descriptor once that what was written is lost.
TEST_F(FileSessionTest, AFlushThatFailedIsToldAlsoWhenItsSessionEnded) {
  ASSERT_EQ(mount("/dev/full", file_.c_str(), nullptr, MS_BIND, nullptr), 0) << errno;  // whose fdatasync fails
  ASSERT_TRUE(Open());
  const Command16 flush;
  ASSERT_TRUE(session_->Issue(0, flush, kBlock, {}));
  pollfd done{session_->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&done, 1, 20'000), 1);
  session_->Close();
  ASSERT_EQ(umount(file_.c_str()), 0) << errno;
  ASSERT_TRUE(Open());
  EXPECT_EQ(Ask(flush).status, SCSI_STATUS_CHECK_CONDITION);
  EXPECT_EQ(Ask(flush).status, SCSI_STATUS_GOOD);
}

TEST_F(FileSessionTest, MoreCommandsThanWerePlannedForEndIt) {
  ASSERT_TRUE(Open());
  uint32_t issued = 0;
  while (issued <= kCommands && session_->Issue(issued, {}, kBlock, {})) ++issued;
  EXPECT_EQ(issued, kCommands);  // none comes back before Service
  ASSERT_TRUE(Until([&] { return !losses_.empty(); }));
  EXPECT_THAT(losses_, ElementsAre(Loss::kProtocol));
  EXPECT_TRUE(Open());
}

TEST_F(FileSessionTest, LogsOut) {
  ASSERT_TRUE(Open());
  ASSERT_TRUE(session_->Logout());
  EXPECT_TRUE(session_->logging_out());
  ASSERT_TRUE(Until([&] { return !session_->open(); }));
  EXPECT_THAT(losses_, ElementsAre(Loss::kConnection));
}

}  // namespace
}  // namespace flocker::lun
