#include "engine/agent/journal.h"

#include <gtest/gtest.h>

#include "engine/base/file.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

Attachment Entry() {
  Attachment a;
  a.id = DatasetId::FromRandomHex(RandomHex(16));
  a.name = "db\"\n";
  a.mount_epoch = 3;
  a.epoch = 5;
  a.serial = 7;
  a.formatted = true;
  return a;
}

TEST(Journal, KeepsEntriesAndTheNodeOverARestart) {
  const testing::ScratchDir dir;
  const Attachment entry = Entry();
  NodeId node;
  {
    auto journal = Journal::Open(dir.path());
    ASSERT_TRUE(journal.ok()) << journal.status();
    node = journal->node();
    ASSERT_TRUE(journal->Put(entry).ok());
    EXPECT_EQ(*journal->NewSerial(), 1U);
  }
  auto journal = Journal::Open(dir.path());
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_EQ(journal->node(), node);
  const auto entries = journal->Load();
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 1U);
  EXPECT_TRUE(entries->front() == entry);
  EXPECT_EQ(*journal->NewSerial(), 2U);
  ASSERT_TRUE(journal->Erase(entry.id, entry.mount_epoch).ok());
  EXPECT_TRUE(journal->Load()->empty());
}

TEST(Journal, TwoAttachmentsOfOneDatasetDoNotMeet) {
  const testing::ScratchDir dir;
  auto journal = Journal::Open(dir.path());
  Attachment entry = Entry();
  ASSERT_TRUE(journal->Put(entry).ok());
  entry.mount_epoch = 4;
  ASSERT_TRUE(journal->Put(entry).ok());
  ASSERT_TRUE(journal->Erase(entry.id, 3).ok());
  ASSERT_EQ(journal->Load()->size(), 1U);
  EXPECT_EQ(journal->Load()->front().mount_epoch, 4U);
}

TEST(Journal, OneAgentARoot) {
  const testing::ScratchDir dir;
  const auto first = Journal::Open(dir.path());
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(Journal::Open(dir.path()).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Journal, DamageIsAnErrorThatNamesTheFile) {
  const testing::ScratchDir dir;
  const auto journal = Journal::Open(dir.path());
  ASSERT_TRUE(ReplaceFile(dir / "journal/damaged", "{\"id\": 3}").ok());
  const auto loaded = journal->Load();
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.status().message().find("journal/damaged"), absl::string_view::npos);
}

TEST(Journal, EntriesAreStrict) {
  for (const char* bad : {"", "[]", "{}", "{\"id\":\"x\"}", "null", "\"", "{\"id\":1}"}) {
    EXPECT_FALSE(AttachmentFromText(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace flocker
