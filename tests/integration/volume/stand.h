// What every test here stands on: a sparse image in a scratch directory, taken down in order however the test ends.
//
//   <scratch>/root/mnt/<uuid>.<epoch>  ext4
//                                      loop, direct I/O
//   <scratch>/image                    sparse file, 128 MiB
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "engine/model/ids.h"
#include "engine/volume/filesystem.h"
#include "engine/volume/format.h"
#include "engine/volume/holders.h"
#include "engine/volume/loop.h"
#include "tests/harness/scratch.h"

namespace flocker::testing {

inline constexpr uint64_t kImageSize = uint64_t{128} << 20;
inline constexpr char kUuid[] = "0b5c7f3e-52ab-4f4e-9d3f-6a1f0c9e7d21";
inline constexpr char kOtherUuid[] = "99999999-52ab-4f4e-9d3f-6a1f0c9e7d21";

class VolumeStand : public ::testing::Test {
 protected:
  VolumeStand();
  // Unmounts and detaches whatever is left below the scratch directory.
  void TearDown() override;

  // A sparse image file; its path.
  std::string MakeImage(const std::string& name);
  // Attached with 512-byte blocks.
  LoopDevice Attach(const std::string& image);
  // Attached, formatted and mounted at epoch 1.
  void MakeMounted();
  // The mount request of `loop` at that epoch.
  MountRequest Request(const LoopDevice& loop, uint64_t epoch) const;
  HolderQuery Query() const;

  ScratchDir scratch_;
  const DatasetId id_ = *DatasetId::Parse(kUuid);
  LoopDevice loop_;
  std::string path_;  // of epoch 1
};

// Writes `content` to a file, or says why not.
::testing::AssertionResult WriteText(const std::string& path, const std::string& content);
std::string ReadText(const std::string& path);

// Matchers' shorthand.
#define ASSERT_OK(expr)                   \
  do {                                    \
    const absl::Status status_ = (expr);  \
    ASSERT_TRUE(status_.ok()) << status_; \
  } while (false)

}  // namespace flocker::testing
