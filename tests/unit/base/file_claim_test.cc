#include "engine/base/file_claim.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "tests/harness/holder_child.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

bool Withdrawn(const FileClaim& claim) {
  pollfd ready{claim.withdrawn_fd(), POLLIN, 0};
  return poll(&ready, 1, 0) == 1;
}

class FileClaimTest : public ::testing::Test {
 protected:
  FileClaimTest() { std::ofstream(file_) << "content"; }
  void Open(const std::string& user) { ASSERT_TRUE(SetDoor(file_, {.open = true, .user = user}).ok()); }
  // Takes it in another process, and keeps it.
  std::function<bool()> TakenBy(const std::string& user) {
    return [file = file_, user] {
      static auto claim = FileClaim::Take(file, user);
      return claim.ok();
    };
  }

  const testing::ScratchDir scratch_;
  const std::string file_ = scratch_ / "a file";
};

TEST_F(FileClaimTest, IsForTheOneWhoseDoorIsOpen) {
  EXPECT_TRUE(absl::IsPermissionDenied(FileClaim::Take(file_, "ada").status())) << "there is no door";
  Open("bob");
  EXPECT_TRUE(absl::IsPermissionDenied(FileClaim::Take(file_, "ada").status()));
  Open("ada");
  EXPECT_TRUE(FileClaim::Take(file_, "ada").ok());
  ASSERT_TRUE(SetDoor(file_, {.open = false, .user = "ada"}).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(FileClaim::Take(file_, "ada").status()));
  EXPECT_EQ(*DoorOf(file_), (FileDoor{.open = false, .user = "ada"}));
  EXPECT_TRUE(RemoveDoor(file_).ok());
  EXPECT_TRUE(RemoveDoor(file_).ok());
  EXPECT_EQ(*DoorOf(file_), std::nullopt);
  EXPECT_TRUE(absl::IsNotFound(FileClaim::Take(file_ + "'s neighbour", "ada").status()));
}

TEST_F(FileClaimTest, HearsOfEveryChangeOfTheDoor) {
  Open("ada");
  {
    const auto claim = FileClaim::Take(file_, "ada");
    ASSERT_TRUE(claim.ok()) << claim.status();
    EXPECT_FALSE(Withdrawn(*claim));
    ASSERT_TRUE(SetDoor(file_, {.open = false, .user = "ada"}).ok());
    EXPECT_TRUE(Withdrawn(*claim));
  }
  Open("ada");
  const auto claim = FileClaim::Take(file_, "ada");
  ASSERT_TRUE(claim.ok()) << claim.status();
  ASSERT_TRUE(RemoveDoor(file_).ok());
  EXPECT_TRUE(Withdrawn(*claim));
}

TEST_F(FileClaimTest, IsOneProcesssAndEndsWithIt) {
  Open("ada");
  EXPECT_EQ(*ClaimantOf(file_), std::nullopt);
  {
    const testing::HolderChild holder(TakenBy("ada"));
    EXPECT_EQ(*ClaimantOf(file_), holder.pid());
    EXPECT_EQ(CauseOf(FileClaim::Take(file_, "ada").status()), Cause::kBusy);
    const absl::Status waited = WaitUnclaimed(file_, "no such program", absl::ZeroDuration(), absl::Milliseconds(50));
    EXPECT_TRUE(absl::IsDeadlineExceeded(waited)) << waited;
    EXPECT_TRUE(absl::StrContains(waited.message(), absl::StrCat("process ", holder.pid()))) << waited;
    EXPECT_EQ(kill(holder.pid(), 0), 0) << "it is another program's";
  }
  EXPECT_EQ(*ClaimantOf(file_), std::nullopt);
  EXPECT_TRUE(WaitUnclaimed(file_, "", absl::ZeroDuration(), absl::ZeroDuration()).ok());
  EXPECT_EQ(*ClaimantOf(file_ + "'s neighbour"), std::nullopt);
}

}  // namespace
}  // namespace flocker
