// A bad network, and strangers on it.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
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
  // What the array's administrator could see: each grant's user and secret.
  const absl::Status watched = array().guest().Push(
      "/opt/lab/bin/tgtadm", "#!/bin/bash\necho \"$*\" >>/run/tgtadm.log\nexec /usr/sbin/tgtadm \"$@\"\n", 0755);
  ASSERT_TRUE(watched.ok()) << watched;
  using Account = std::pair<std::string, std::string>;
  const auto newest = [&]() -> Account {
    return absl::StrSplit(Run(array(),
                              "awk '/--mode account --user .* --password/ { a = $10 \" \" $12 } END { printf a }' "
                              "/run/tgtadm.log"),
                          ' ');
  };
  const auto shown = [&](const std::string& filter) {
    return Run(array(), "tgtadm -C 0 --lld iscsi --op show --mode target | " + filter + " | tr -d '\\n'");
  };
  Create(1);
  const Account stale = newest();
  Move(node(2), 1, 3);
  const Account granted = newest();
  ASSERT_NE(stale.second, granted.second);
  const std::string target = shown("awk '/^Target/ { print $3; exit }'");
  const std::string initiator = shown("grep -o 'iqn[^ ]*' | grep -v -x -m1 " + target);
  ASSERT_NE(initiator, "");

  Run(node(2), "modprobe iscsi_tcp && (pidof iscsid || iscsid)");
  const std::string node_record = "iscsiadm -m node -T " + target + " -p 10.77.1.1:3260 ";
  const std::string login = node_record + "--login";
  Run(node(2), node_record + "--op new");
  EXPECT_FALSE(Succeeds(node(2), login)) << "it has no grant";
  Run(node(2), "echo InitiatorName=" + initiator +
                   " >/etc/iscsi/initiatorname.iscsi; kill $(pidof iscsid); "
                   "while pidof iscsid; do :; done; iscsid");
  EXPECT_FALSE(Succeeds(node(2), login)) << "a name alone, which a stranger may know, opens nothing";
  const auto use = [&](const Account& account) {
    std::string command = "true";
    for (const auto& [name, value] :
         {Account{"authmethod", "CHAP"}, {"username", account.first}, {"password", account.second}}) {
      absl::StrAppend(&command, " && ", node_record, "--op update -n node.session.auth.", name, " -v '", value, "'");
    }
    Run(node(2), command);
  };
  use(stale);
  EXPECT_FALSE(Succeeds(node(2), login)) << "an earlier grant's user and secret";
  use({granted.first, stale.second});
  EXPECT_FALSE(Succeeds(node(2), login)) << "an earlier grant's secret";
  Run(node(2), "! iscsiadm -m session");
  // Nothing but the secret was in the way.
  use(granted);
  Run(node(2), login + " && " + node_record + "--logout");

  Run(node(3), "echo still >" + Path(3) + "/works && sync " + Path(3) + "/works");
  Run(node(3), "rmdir " + Path(3));
  Run(array(), "rm /opt/lab/bin/tgtadm");
}

}  // namespace
}  // namespace flocker::lab
