#include "fusefs/local_mount.h"

#include <gtest/gtest.h>

namespace flocker {
namespace {

// Any mount will do: what is tested is who may still use it.
class AttachmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = LocalMount::Open(*DatasetId::Parse("11111111-0000-4000-8000-000000000000"), 7, 1, "/proc", threads_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    attachment_ = *std::move(opened);
  }
  WorkerThreads threads_;
  std::shared_ptr<LocalMount> attachment_;
};

TEST_F(AttachmentTest, OnlyAMountCanBeOne) {
  const auto opened = LocalMount::Open({}, 7, 1, "/proc/self", threads_);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition) << opened.status();
}

TEST_F(AttachmentTest, ClosesWhenTheLastUseEnds) {
  bool closed = false;
  auto first = attachment_->Enter();
  auto second = attachment_->Enter();
  attachment_->Retire([&] { closed = true; });
  EXPECT_FALSE(attachment_->Enter().has_value());
  first.reset();
  EXPECT_FALSE(closed);
  EXPECT_GE(attachment_->mount(), 0);
  second.reset();
  EXPECT_TRUE(closed);
  EXPECT_EQ(attachment_->mount(), -1);
}

TEST_F(AttachmentTest, ClosesAtOnceWithoutUses) {
  bool closed = false;
  attachment_->Retire([&] { closed = true; });
  EXPECT_TRUE(closed);
}

TEST_F(AttachmentTest, TellsOnceWhenItIsIdle) {
  int idle = 0;
  {
    const auto use = attachment_->Enter();
    attachment_->WhenIdle([&] { ++idle; });
    EXPECT_EQ(idle, 0);
    EXPECT_EQ(attachment_->holds(), 1U);
  }
  EXPECT_EQ(idle, 1);
  attachment_->Enter().reset();
  EXPECT_EQ(idle, 1);
  attachment_->WhenIdle([&] { ++idle; });
  EXPECT_EQ(idle, 2);
}

TEST_F(AttachmentTest, JoinsOnlyWhoHoldsIt) {
  EXPECT_FALSE(attachment_->Join().has_value());
  auto use = attachment_->Enter();
  EXPECT_TRUE(attachment_->Join().has_value());
  use->StopHolding();
  EXPECT_FALSE(attachment_->Join().has_value());
}

TEST_F(AttachmentTest, AUseThatDoesNotHoldItIsIdleButKeepsItOpen) {
  bool idle = false;
  bool closed = false;
  auto use = attachment_->Enter();
  attachment_->WhenIdle([&] { idle = true; });
  attachment_->Retire([&] { closed = true; });
  use->StopHolding();
  EXPECT_TRUE(idle);
  EXPECT_FALSE(closed);
  use.reset();
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace flocker
