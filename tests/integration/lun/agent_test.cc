// flocker-lun and its agent: descriptors, restarts of the agent, the end, and writes into a full pool.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <future>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/lun/arena.h"
#include "tests/integration/lun/lun_rig.h"

namespace flocker::lun::testing {
namespace {

TEST(LunAgent, ARestartedAgentGetsTheDescriptorsAndWhatItMissed) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  const auto received = rig.Reconnect();
  const auto& hello = std::get<Hello>(received.report);
  EXPECT_EQ(hello.state, State::kServing);
  EXPECT_EQ(hello.pid, rig.pid());
  EXPECT_EQ(hello.epoch, 1u);
  EXPECT_EQ(hello.size, kLunSize);
  EXPECT_EQ(hello.mounted, 1u);
  EXPECT_EQ(hello.dataset.view(), kDataset);
  EXPECT_EQ(hello.node.view(), "alpha");

  struct stat st {};
  ASSERT_EQ(fstat(received.fuse.get(), &st), 0);
  EXPECT_EQ(st.st_rdev, makedev(10, 229));  // Documentation/admin-guide/devices.txt: fuse
  ASSERT_EQ(fstat(received.arena.get(), &st), 0);
  const auto size = static_cast<size_t>(st.st_size);
  void* map = mmap(nullptr, size, PROT_READ, MAP_SHARED, received.arena.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  const auto* header = static_cast<const ArenaHeader*>(map);
  EXPECT_EQ(header->magic, kArenaMagic);
  EXPECT_EQ(header->version, kArenaVersion);
  EXPECT_EQ(header->data_offset + header->data_size, size);
  fuse_in_header init{};
  memcpy(&init, header->init, sizeof init);
  EXPECT_EQ(init.opcode, static_cast<uint32_t>(FUSE_INIT));
  EXPECT_EQ(init.len, header->init_size);
  munmap(map, size);

  rig.Revoke();
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  EXPECT_EQ(std::get<Hello>(rig.Reconnect().report).state, State::kBroken);
  EXPECT_TRUE(rig.Expect<SessionLost>().has_value());
}

// By us: whether the server manages to is what is tested.
bool CgroupsCanBeMade() {
  for (const char* root : {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"}) {
    const std::string path = absl::StrCat(root, "/flocker-test-", getpid());
    if (mkdir(path.c_str(), 0755) != 0) continue;
    const bool memory = access((path + "/memory.stat").c_str(), F_OK) == 0;
    rmdir(path.c_str());
    if (memory) return true;
  }
  return false;
}

TEST(LunAgent, ItIsOutOfReachOfTheMemoryLimitOfWhoeverStartedIt) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.Start());
  if (!CgroupsCanBeMade()) GTEST_SKIP() << "no memory cgroup can be made here";
  EXPECT_TRUE(absl::StrContains(ReadFile(absl::StrCat("/proc/", rig.pid(), "/cgroup")).value_or(""), "/flocker-lun\n"));
}

TEST(LunAgent, ARequestInFlightIsInTheArenaUntilItIsAnswered) {
  std::future<int> write;
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  rig.Revoke();
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  const auto received = rig.Reconnect();
  ASSERT_TRUE(rig.Expect<SessionLost>().has_value());
  struct stat st {};
  ASSERT_EQ(fstat(received.arena.get(), &st), 0);
  void* map = mmap(nullptr, static_cast<size_t>(st.st_size), PROT_READ, MAP_SHARED, received.arena.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  const auto* base = static_cast<const std::byte*>(map);
  const auto* header = static_cast<const ArenaHeader*>(map);
  // The delivered WRITE, if there is one.
  const auto find = [&]() -> const Slot* {
    const auto* slots = reinterpret_cast<const Slot*>(base + header->slots_offset);
    for (uint32_t i = 0; i < header->slot_count; ++i) {
      fuse_in_header in{};
      memcpy(&in, base + slots[i].offset, sizeof in);
      if (slots[i].state == SlotState::kDelivered && in.opcode == FUSE_WRITE) return &slots[i];
    }
    return nullptr;
  };
  EXPECT_EQ(find(), nullptr);
  write = std::async(std::launch::async, [file = rig.file()] {
    const unique_fd fd(open(file.c_str(), O_RDWR | O_CLOEXEC));
    const std::string block(4096, 'a');
    return pwrite(fd.get(), block.data(), block.size(), 0) == 4096 ? 0 : errno;
  });
  EXPECT_TRUE(Eventually([&] { return find() != nullptr; }));
  const Slot* slot = find();
  if (slot != nullptr) {
    EXPECT_EQ(slot->length, sizeof(fuse_in_header) + sizeof(fuse_write_in) + 4096);
    EXPECT_EQ(static_cast<char>(base[slot->offset + slot->length - 1]), 'a');
  }
  rig.Send(rig.Grant());
  EXPECT_TRUE(rig.Expect<Resumed>().has_value());
  EXPECT_EQ(Outcome(write), 0);
  EXPECT_EQ(find(), nullptr);
  munmap(map, static_cast<size_t>(st.st_size));
}

TEST(LunAgent, StopIsRefusedWhileTheFileIsOpenAndLeavesNothing) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  unique_fd fd(open(rig.file().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd.valid());
  rig.Send(NewMessage<Stop>());
  const auto failed = rig.Expect<Failed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->error, EBUSY);
  char c = 0;
  EXPECT_EQ(pread(fd.get(), &c, 0, 0), 0);
  fd.reset();
  // RELEASE comes after close(2) has returned; until then the file counts as open.
  EXPECT_TRUE(Eventually([&] {
    rig.Send(NewMessage<Stop>());
    return std::holds_alternative<Stopped>(rig.Next());
  }));
  EXPECT_TRUE(rig.WaitLunEnd());
  EXPECT_FALSE(rig.Mounted());
  EXPECT_TRUE(Eventually([&] {
    const auto sessions = rig.tgtd().Admin({"--lld", "iscsi", "--op", "show", "--mode", "conn", "--tid", "1"});
    return sessions.ok() && !absl::StrContains(*sessions, "Session:");
  }));
  EXPECT_FALSE(LunClient::Connect(rig.socket()).ok());
  EXPECT_NE(access(rig.socket().c_str(), F_OK), 0);
}

TEST(LunAgent, SignalsDoNotCutIo) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  unique_fd fd(open(rig.file().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd.valid());
  for (const int signal : {SIGHUP, SIGPIPE, SIGTERM}) kill(rig.pid(), signal);
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(rig.log(), "ignored, the file is in use"); }));
  const std::string block(512, 'x');
  EXPECT_EQ(pwrite(fd.get(), block.data(), block.size(), 0), 512);
  fd.reset();
  EXPECT_TRUE(Eventually([&] {
    kill(rig.pid(), SIGTERM);
    return !rig.Mounted();
  }));
  EXPECT_TRUE(rig.WaitLunEnd());
}

TEST(LunAgent, GarbageOnTheSocketEndsOnlyTheConnection) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  auto garbage = NewMessage<Resize>();
  garbage.header.version = 99;
  rig.Send(garbage);
  auto other = rig.Reconnect();
  EXPECT_EQ(std::get<Hello>(other.report).state, State::kServing);
}

// A pool that can be filled and enlarged: a tmpfs of its own.
class SmallPool {
 public:
  SmallPool() {
    if (mount("flocker-test-pool", dir_.path().c_str(), "tmpfs", 0, "size=4m") != 0) ADD_FAILURE() << strerror(errno);
  }
  ~SmallPool() { umount2(dir_.path().c_str(), MNT_DETACH); }
  SmallPool(const SmallPool&) = delete;
  SmallPool& operator=(const SmallPool&) = delete;
  void Enlarge() {
    EXPECT_EQ(mount("flocker-test-pool", dir_.path().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0) << strerror(errno);
  }
  const std::string& path() const { return dir_.path(); }

 private:
  flocker::testing::ScratchDir dir_;
};

// The errno of writing 8 MiB, twice what a small pool holds.
int FillPool(const std::string& file) {
  const unique_fd fd(open(file.c_str(), O_RDWR | O_CLOEXEC));
  const std::string piece(64 * 1024, 'p');
  for (off_t offset = 0; offset < off_t{8} << 20; offset += static_cast<off_t>(piece.size())) {
    if (pwrite(fd.get(), piece.data(), piece.size(), offset) != static_cast<ssize_t>(piece.size())) return errno;
  }
  return 0;
}

TEST(LunAgent, AFullPoolIsAPauseWhenTheAgentSaysSo) {
  std::future<int> write;
  SmallPool pool;
  LunRig rig(pool.path());
  ASSERT_NO_FATAL_FAILURE(rig.StartServing());
  write = std::async(std::launch::async, FillPool, rig.file());
  const auto failed = rig.Expect<WriteFailed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->sense_key, 3u);
  auto verdict = NewMessage<Verdict>();
  verdict.retry = 1;
  rig.Send(verdict);  // too early: it is held again
  ASSERT_TRUE(rig.Expect<WriteFailed>().has_value());
  EXPECT_EQ(std::get<Hello>(rig.Reconnect().report).held_writes, 1u);
  ASSERT_TRUE(rig.Expect<WriteFailed>().has_value());
  pool.Enlarge();
  rig.Send(verdict);
  EXPECT_EQ(Outcome(write), 0);
}

TEST(LunAgent, AHeldWriteFailsByVerdictOrByTime) {
  std::future<int> write;
  SmallPool pool;
  LunRig rig(pool.path());
  ASSERT_NO_FATAL_FAILURE(rig.StartServing({"--io-timeout", "1"}));
  write = std::async(std::launch::async, FillPool, rig.file());
  ASSERT_TRUE(rig.Expect<WriteFailed>().has_value());
  rig.Send(NewMessage<Verdict>());
  EXPECT_EQ(Outcome(write), EIO);
  write = std::async(std::launch::async, FillPool, rig.file());
  ASSERT_TRUE(rig.Expect<WriteFailed>().has_value());
  const auto timed_out = rig.Expect<IoTimedOut>();
  ASSERT_TRUE(timed_out.has_value());
  EXPECT_EQ(timed_out->failed, 1u);
  EXPECT_EQ(Outcome(write), EIO);
}

}  // namespace
}  // namespace flocker::lun::testing
