#include "tests/integration/volume/stand.h"

#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "engine/volume/mountinfo.h"

namespace flocker::testing {

VolumeStand::VolumeStand() : path_(MountPath(scratch_ / "root", id_, 1)) {}

void VolumeStand::TearDown() {
  const auto mounts = ReadOwnMounts();
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  for (auto mount = mounts->rbegin(); mount != mounts->rend(); ++mount) {
    if (IsAtOrBelow(mount->mount_point, scratch_.path())) {
      EXPECT_EQ(umount2(mount->mount_point.c_str(), MNT_DETACH), 0) << mount->mount_point;
    }
  }
  for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
    if (!entry.is_regular_file()) continue;
    const auto loop = FindLoop(entry.path().string());
    ASSERT_TRUE(loop.ok()) << loop.status();
    if (!loop->has_value()) continue;
    EXPECT_TRUE(DetachLoop(**loop, absl::Seconds(5)).ok()) << "left attached: " << (*loop)->path();
  }
}

std::string VolumeStand::MakeImage(const std::string& name) {
  const std::string path = scratch_ / name;
  std::ofstream(path).flush();
  std::filesystem::resize_file(path, kImageSize);
  return path;
}

LoopDevice VolumeStand::Attach(const std::string& image) {
  const auto loop = AttachLoop(image, 512);
  EXPECT_TRUE(loop.ok()) << loop.status();
  return loop.ok() ? *loop : LoopDevice{};
}

void VolumeStand::MakeMounted() {
  loop_ = Attach(MakeImage("image"));
  const auto prepared = PrepareFilesystem(loop_.path(), id_, /*formatted=*/false);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  MountRequest request = Request(loop_, 1);
  request.fresh_root = FreshRoot{1000, 1001, 0750};
  ASSERT_OK(MountFilesystem(request));
}

MountRequest VolumeStand::Request(const LoopDevice& loop, uint64_t epoch) const {
  MountRequest request;
  request.device = loop.path();
  request.id = id_;
  request.path = MountPath(scratch_ / "root", id_, epoch);
  return request;
}

HolderQuery VolumeStand::Query() const {
  HolderQuery query;
  query.device = loop_.device;
  query.mount_path = path_;
  return query;
}

::testing::AssertionResult WriteText(const std::string& path, const std::string& content) {
  std::ofstream file(path);
  file << content;
  file.close();
  if (file.good()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "cannot write " << path;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace flocker::testing
