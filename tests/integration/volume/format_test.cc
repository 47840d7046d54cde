#include "engine/volume/format.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/exclusive.h"
#include "tests/integration/volume/stand.h"

namespace flocker::testing {
namespace {

class Format : public VolumeStand {
 protected:
  void Run(const std::vector<std::string>& argv) {
    const auto output = RunChecked(argv, absl::Seconds(30));
    ASSERT_TRUE(output.ok()) << output.status();
  }
  void WriteAt(off_t offset, const std::string& bytes) {
    const unique_fd fd(open((scratch_ / "image").c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), offset), static_cast<ssize_t>(bytes.size()));
    ASSERT_EQ(fsync(fd.get()), 0);
  }
  // Everything that matters of the image's first MiB, to see that nothing was changed.
  std::string Beginning() {
    std::string bytes(1 << 20, '\0');
    const unique_fd fd(open((scratch_ / "image").c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(pread(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    return bytes;
  }
  void ExpectRefusedUnchanged(bool formatted, const std::string& why) {
    const std::string before = Beginning();
    const LoopDevice loop = Attach(scratch_ / "image");
    const auto prepared = PrepareFilesystem(loop.path(), id_, formatted);
    EXPECT_EQ(CauseOf(prepared.status()), Cause::kForbidden) << prepared.status();
    EXPECT_NE(prepared.status().message().find(why), absl::string_view::npos) << prepared.status();
    EXPECT_EQ(Beginning(), before);
  }
  // A clean filesystem of ours with one file in it.
  void MakeUsedFilesystem() {
    MakeMounted();
    ASSERT_TRUE(WriteText(path_ + "/file", "content"));
    ASSERT_OK(ReleaseFilesystem(Request(loop_, 1)));
  }
  void MountAgain() { ASSERT_OK(MountFilesystem(Request(loop_, 1))); }
};

TEST_F(Format, MakesAnEmptyDeviceOurs) {
  loop_ = Attach(MakeImage("image"));
  const auto prepared = PrepareFilesystem(loop_.path(), id_, false);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(prepared->done, FormatAction::kMkfs);
  const auto probe = ProbeDevice(loop_.path());
  ASSERT_TRUE(probe.ok()) << probe.status();
  EXPECT_EQ(probe->signature, "ext4");
  EXPECT_EQ(probe->uuid, id_.str());
  ASSERT_TRUE(probe->ext4.has_value());
  EXPECT_TRUE(probe->ext4->Clean());
  const auto header = RunChecked({"dumpe2fs", "-h", loop_.path()}, absl::Seconds(10));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_NE(header->find("Reserved block count:     0\n"), std::string::npos) << *header;
  EXPECT_NE(header->find("Errors behavior:          Remount read-only\n"), std::string::npos) << *header;
  EXPECT_NE(header->find("Block size:               4096\n"), std::string::npos) << *header;
}

TEST_F(Format, NeverTouchesAForeignFilesystem) {
  Run({"mkfs.ext4", "-q", "-U", kOtherUuid, MakeImage("image")});
  ExpectRefusedUnchanged(false, kOtherUuid);
}

TEST_F(Format, NeverTouchesAnotherKindOfSignature) {
  Run({"mkswap", "-U", kUuid, MakeImage("image")});
  ExpectRefusedUnchanged(false, "'swap'");
}

TEST_F(Format, NeverTouchesAPartitionTable) {
  MakeImage("image");
  // One Linux partition (type 0x83) at sector 2048 and the boot signature.
  WriteAt(446, std::string("\x00\x20\x21\x00\x83\xfe\xff\xff\x00\x08\x00\x00\x00\x08\x00\x00", 16));
  WriteAt(510, "\x55\xaa");
  ExpectRefusedUnchanged(false, "'dos'");
}

TEST_F(Format, NeverTouchesAFirstMibThatIsNotZero) {
  MakeImage("image");
  WriteAt((1 << 20) - 1, "x");
  ExpectRefusedUnchanged(false, "first MiB");
}

TEST_F(Format, NeverTouchesADamagedExt4) {
  MakeUsedFilesystem();
  ASSERT_OK(DetachLoop(loop_, absl::Seconds(5)));
  WriteAt(kExt4SuperblockOffset + 0x68, std::string(16, '\x42'));  // another UUID, and so a checksum that is wrong
  ExpectRefusedUnchanged(true, "42424242-4242");
}

TEST_F(Format, AFormattedDeviceIsNeverFormattedAgain) {
  MakeImage("image");
  ExpectRefusedUnchanged(true, "gone");
}

TEST_F(Format, AdoptsACleanFilesystemOfACrash) {
  MakeUsedFilesystem();
  const auto prepared = PrepareFilesystem(loop_.path(), id_, false);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(prepared->done, FormatAction::kAdopt);
  MountAgain();
  EXPECT_EQ(ReadText(path_ + "/file"), "content");
}

TEST_F(Format, RecreatesAnUncleanFilesystemOfACrash) {
  MakeUsedFilesystem();
  Run({"debugfs", "-w", "-R", "set_super_value state 0", loop_.path()});
  const auto prepared = PrepareFilesystem(loop_.path(), id_, false);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(prepared->done, FormatAction::kRecreate);
  MountAgain();
  EXPECT_NE(access((path_ + "/file").c_str(), F_OK), 0);
}

TEST_F(Format, RecreatesWhatOnlyClaimsToBeClean) {
  MakeUsedFilesystem();
  Run({"debugfs", "-w", "-R", "clri <2>", loop_.path()});  // no root directory: e2fsck -p gives up
  const auto prepared = PrepareFilesystem(loop_.path(), id_, false);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(prepared->done, FormatAction::kRecreate);
  MountAgain();
}

TEST_F(Format, ChecksOnlyWhenTheSuperblockAsks) {
  MakeUsedFilesystem();
  auto prepared = PrepareFilesystem(loop_.path(), id_, true);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(prepared->check, "");
  Run({"tune2fs", "-c", "5", "-C", "5", loop_.path()});
  prepared = PrepareFilesystem(loop_.path(), id_, true);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_NE(prepared->check.find("mounted 5 times"), std::string::npos) << prepared->check;
  EXPECT_EQ((*ProbeDevice(loop_.path())).ext4->mount_count, 0) << "a check was made";
}

TEST_F(Format, RepairsWhatTheKernelFoundWrongBeforeAMount) {
  MakeUsedFilesystem();
  Run({"debugfs", "-w", "-R", "set_super_value state 3", loop_.path()});
  const auto prepared = PrepareFilesystem(loop_.path(), id_, true);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_NE(prepared->check.find("recorded errors"), std::string::npos);
  EXPECT_TRUE((*ProbeDevice(loop_.path())).ext4->Clean());
  MountAgain();
  EXPECT_EQ(ReadText(path_ + "/file"), "content");
}

TEST_F(Format, DamageThatNeedsAHumanIsRefusedWithARemedy) {
  MakeUsedFilesystem();
  Run({"debugfs", "-w", "-R", "clri <2>", loop_.path()});
  Run({"debugfs", "-w", "-R", "set_super_value state 3", loop_.path()});
  const auto prepared = PrepareFilesystem(loop_.path(), id_, true);
  EXPECT_EQ(CauseOf(prepared.status()), Cause::kIo);
  EXPECT_NE(prepared.status().message().find("by hand"), absl::string_view::npos) << prepared.status();
}

TEST_F(Format, ReplaysTheJournalOfACrash) {
  MakeMounted();
  ASSERT_TRUE(WriteText(path_ + "/file", "content"));
  ASSERT_OK(SyncFilesystem(path_));
  // What a node that died leaves on the array: the device as it is under a live mount.
  Run({"cp", "--sparse=always", scratch_ / "image", scratch_ / "copy"});
  const LoopDevice copy = Attach(scratch_ / "copy");
  const auto prepared = PrepareFilesystem(copy.path(), id_, true);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_NE(prepared->check.find("journal"), std::string::npos) << prepared->check;
  ASSERT_OK(MountFilesystem(Request(copy, 2)));
  EXPECT_EQ(ReadText(Request(copy, 2).path + "/file"), "content");
}

}  // namespace
}  // namespace flocker::testing
