// A bad network, and strangers on it.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class Network : public Scenario {};

TEST_F(Network, LossAndDelayMakeItSlowerAndNothingElse) {
  ASSERT_TRUE(lab().SetAllLinks({.loss = 0.05, .delay = absl::Milliseconds(50)}).ok());
  const absl::Time start = absl::Now();
  Until(node(1), absl::StrCat("[[ -d ", Path(1), " ]] || mkdir ", Path(1)));
  Until(node(1), "ls " + Path(1), absl::Minutes(4));  // an access waits for attach_timeout alone
  Report("create", absl::Now() - start);
  RecordWriter writer(node(1), "only", Path(1) + "/records");
  ASSERT_TRUE(writer.Start());
  ASSERT_TRUE(writer.WaitFor(10, absl::Minutes(3)));
  EXPECT_EQ(writer.Error(), "");
  writer.End();
  Move(node(3), 1, 2);
  const auto records = ReadRecords(node(2), Path(2) + "/records");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_GE(records[0].second, 10);
  ASSERT_TRUE(lab().Heal().ok());
  Run(node(2), "rmdir " + Path(2));
}

TEST_F(Network, AKernelInitiatorCannotLogInToATargetThatIsNotItsOwn) {
  Create(1);
  Run(node(2), "modprobe iscsi_tcp && (pidof iscsid || iscsid)");
  // Discovery lists nothing to whom nothing was granted; and the name alone, which a stranger may know, opens nothing.
  const std::string target = Run(
      array(), "tgtadm -C 0 --lld iscsi --op show --mode target | awk '/^Target/ { print $3; exit }' | tr -d '\\n'");
  ASSERT_NE(target, "");
  const std::string login = "iscsiadm -m node -T " + target + " -p 10.77.1.1:3260 ";
  Run(node(2), login + "--op new");
  EXPECT_FALSE(Succeeds(node(2), login + "--login"));
  // With the granted initiator's name, but without its secret, or with an old one.
  const std::string initiator =
      Run(array(), "tgtadm -C 0 --lld iscsi --op show --mode target | grep -o 'iqn[^ ]*' | grep -v -x -m1 " + target +
                       " | tr -d '\\n'");
  ASSERT_NE(initiator, "");
  Run(node(2), "echo InitiatorName=" + initiator +
                   " >/etc/iscsi/initiatorname.iscsi; kill $(pidof iscsid); "
                   "while pidof iscsid; do :; done; iscsid");
  EXPECT_FALSE(Succeeds(node(2), login + "--login"));
  Run(node(2), login + "--op update -n node.session.auth.authmethod -v CHAP; " + login +
                   "--op update -n node.session.auth.username -v flocker; " + login +
                   "--op update -n node.session.auth.password -v 0123456789abcdef");
  EXPECT_FALSE(Succeeds(node(2), login + "--login"));
  Run(node(2), "! iscsiadm -m session");
  Run(node(1), "echo still >" + Path(1) + "/works && sync " + Path(1) + "/works && rm " + Path(1) + "/works");
  Run(node(1), "rmdir " + Path(1));
}

}  // namespace
}  // namespace flocker::lab
