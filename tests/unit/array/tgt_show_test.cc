#include "engine/array/tgt_show.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "absl/strings/str_replace.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Captured from tgt 1.0.85.
constexpr char kShown[] = R"(Target 1234567: iqn.2026-11.io.flocker:6f1d1c1e-59a8-4d4a-8d5c-0a1b2c3d4e5f
    System information:
        Driver: iscsi
        State: ready
    I_T nexus information:
        I_T nexus: 3
            Initiator: iqn.2026-11.io.flocker:alpha alias: none
            Connection: 0
                IP Address: 127.0.0.1
        I_T nexus: 4
            Initiator: iqn.x:b alias: c alias: pc7
            Connection: 2
                IP Address: 127.0.0.1
    LUN information:
        LUN: 0
            Type: controller
            SCSI ID: IET     00010000
            SCSI SN: beaf10
            Size: 0 MB, Block size: 1
            Online: Yes
            Removable media: No
            Prevent removal: No
            Readonly: No
            SWP: No
            Thin-provisioning: No
            Backing store type: null
            Backing store path: None
            Backing store flags: 
        LUN: 1
            Type: disk
            SCSI ID: 6f1d1c1e-59a8-4d4a-8d5c-0a1b2c3d4e5f
            SCSI SN: beaf11
            Size: 16492674 MB, Block size: 512
            Online: Yes
            Removable media: No
            Prevent removal: No
            Readonly: No
            SWP: No
            Thin-provisioning: Yes
            Backing store type: rdwr
            Backing store path: /srv/the pool/a.img
            Backing store flags: 
    Account information:
        6f1d1c1e-e7
        other (outgoing)
    ACL information:
        iqn.2026-11.io.flocker:alpha
        ALL
Target 2: iqn.x:empty
    System information:
        Driver: iscsi
        State: ready
    I_T nexus information:
    LUN information:
        LUN: 0
            Type: controller
            SCSI ID: IET     00020000
            Size: 0 MB, Block size: 1
    Account information:
    ACL information:
)";

TEST(TgtShow, ReadsTargetsSessionsLunsAccountsAndList) {
  const auto targets = ParseTgtTargets(kShown);
  ASSERT_TRUE(targets.ok()) << targets.status();
  ASSERT_EQ(targets->size(), 2u);
  const TgtTarget& target = (*targets)[0];
  EXPECT_EQ(target.tid, 1234567u);
  EXPECT_EQ(target.name, "iqn.2026-11.io.flocker:6f1d1c1e-59a8-4d4a-8d5c-0a1b2c3d4e5f");
  ASSERT_EQ(target.sessions.size(), 2u);
  EXPECT_EQ(target.sessions[0].id, 3u);
  EXPECT_EQ(target.sessions[0].initiator, "iqn.2026-11.io.flocker:alpha");
  EXPECT_THAT(target.sessions[0].connections, ElementsAre(0u));
  EXPECT_THAT(target.sessions[1].connections, ElementsAre(2u));
  ASSERT_EQ(target.luns.size(), 2u);
  EXPECT_EQ(target.luns[1].number, 1u);
  EXPECT_EQ(target.luns[1].scsi_id, "6f1d1c1e-59a8-4d4a-8d5c-0a1b2c3d4e5f");
  EXPECT_EQ(target.luns[1].megabytes, 16492674u);
  EXPECT_TRUE(target.luns[1].thin);
  EXPECT_EQ(target.luns[1].backing_type, "rdwr");
  EXPECT_EQ(target.luns[1].backing_file, "/srv/the pool/a.img");
  EXPECT_FALSE(target.luns[0].thin);
  EXPECT_THAT(target.accounts, ElementsAre("6f1d1c1e-e7", "other"));
  EXPECT_THAT(target.allowed, ElementsAre("iqn.2026-11.io.flocker:alpha", "ALL"));
  EXPECT_THAT((*targets)[1].sessions, IsEmpty());
  EXPECT_THAT((*targets)[1].allowed, IsEmpty());
}

TEST(TgtShow, NoTextIsNoTarget) { EXPECT_THAT(*ParseTgtTargets(""), IsEmpty()); }

TEST(TgtShow, AComplaintInsteadOfAnAnswerIsAnError) {
  // tgtadm exits with 0 after these.
  EXPECT_FALSE(ParseTgtTargets("tgtadm: tgtd closed the socket\n").ok());
  EXPECT_FALSE(ParseTgtTargets("failed to read from tgtd, 104").ok());
  EXPECT_FALSE(ParseTgtTargets(std::string(kShown) + "tgtadm: a partial response\n").ok());
}

TEST(TgtShow, WhatIsNotUnderstoodIsAnError) {
  const std::string shown = kShown;
  const auto broken = [&](const char* from, const char* to) {
    const std::string text = absl::StrReplaceAll(shown, {{from, to}});
    EXPECT_NE(text, shown) << from;
    return !ParseTgtTargets(text).ok();
  };
  EXPECT_TRUE(broken("Target 2:", "Target two:"));
  EXPECT_TRUE(broken("Target 2:", "Target 99999999999:"));
  EXPECT_TRUE(broken("I_T nexus: 3", "I_T nexus: x"));
  EXPECT_TRUE(broken("I_T nexus: 3", "Nexus: 3"));
  EXPECT_TRUE(broken("Connection: 0", "Connection: -1"));
  EXPECT_TRUE(broken("I_T nexus information:", "Sessions:"));
  EXPECT_TRUE(broken(" alias: none", ""));
  EXPECT_TRUE(broken("LUN: 1", "LUN: 1a"));
  EXPECT_TRUE(broken("Size: 16492674 MB", "Size: many"));
  EXPECT_TRUE(broken("iqn.x:empty", "iqn.2026-11.io.flocker:6f1d1c1e-59a8-4d4a-8d5c-0a1b2c3d4e5f")) << "a name twice";
}

TEST(TgtShow, NoTextMakesItCrash) {
  const std::string shown = kShown;
  for (size_t at = 0; at < shown.size(); ++at) {
    std::ignore = ParseTgtTargets(shown.substr(0, at));
    std::ignore = ParseTgtTargets(shown.substr(at));
    for (const char c : {'\n', ' ', '9', '\xff', '\0'}) {
      std::string bad = shown;
      bad[at] = c;
      std::ignore = ParseTgtTargets(bad);
    }
  }
}

TEST(TgtShow, ReadsAccounts) {
  EXPECT_THAT(*ParseTgtAccounts("Account list:\n    6f1d1c1e-e7\n    other\n"), ElementsAre("6f1d1c1e-e7", "other"));
  EXPECT_THAT(*ParseTgtAccounts(""), IsEmpty());
  EXPECT_FALSE(ParseTgtAccounts("tgtadm: tgtd closed the socket\n").ok());
  EXPECT_FALSE(ParseTgtAccounts("Account list:\nx\n").ok());
}

}  // namespace
}  // namespace flocker
