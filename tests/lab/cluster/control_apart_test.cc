// Control on a machine of its own, which reaches the array head's tgtadm and files through ssh.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/harness/wait.h"
#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class ControlApart : public Scenario {
 protected:
  ControlApart() : Scenario({.nodes = 3, .control_apart = true}) {}
};

constexpr int kDatasets = 10;

// Each answered move is where it was moved to, each other one is where it was or where it should go, whole; and none
// needs more than to be asked again.
TEST_F(ControlApart, APowerCutOfControlInTheMiddleOfTenMoves) {
  const auto path = [&](int on, const std::string& number) {
    return absl::StrCat("/flocker/node", on, "/", dataset_, ".", number);
  };
  const std::string all = absl::StrCat("$(seq ", kDatasets, ")");
  const absl::Time start = absl::Now();
  // What goes on after op_timeout (EINPROGRESS) is there a little later.
  Until(
      node(1),
      absl::StrCat("for i in ", all, "; do [[ -d ", path(1, "$i"), " ]] || mkdir ", path(1, "$i"), " || exit 1; done"),
      absl::Minutes(4));
  Until(node(1),
        absl::StrCat("for i in ", all, "; do echo $i >", path(1, "$i"), "/number && sync ", path(1, "$i"),
                     "/number || exit 1; done"),
        absl::Minutes(4));
  Report("ten datasets made and written, one after the other", absl::Now() - start);

  // /run/moves/<n>: the exit code of the n-th mv, once it has ended.
  Run(node(3), absl::StrCat("rm -rf /run/moves; mkdir /run/moves; for i in ", all, "; do (setsid mv ", path(1, "$i"),
                            " ", path(2, "$i"),
                            " >/run/moves/$i.log 2>&1; echo $? >/run/moves/$i) </dev/null >/dev/null 2>&1 & done"));
  const std::string answered = "grep -l -x 0 /run/moves/* | wc -l";
  Until(node(3), absl::StrCat("[[ $(", answered, ") -ge 3 ]]"), absl::Minutes(3));
  cluster().control().PowerCut();
  const absl::Time cut = absl::Now();
  std::cout << "answered before the power cut: " << Run(node(3), answered);
  const absl::Status whole = cluster().Boot();
  ASSERT_TRUE(whole.ok()) << whole;
  Report("control back after its power cut", absl::Now() - cut);

  Until(node(3), absl::StrCat("for i in ", all, "; do [[ -s /run/moves/$i ]] || exit 1; done"), absl::Minutes(3));
  // As a person would: what did not succeed is asked again.
  Until(node(3),
        absl::StrCat("for i in ", all, "; do [[ -d ", path(2, "$i"), " ]] || mv ", path(1, "$i"), " ", path(2, "$i"),
                     " || exit 1; done"),
        absl::Minutes(3));
  Report("all ten moved", absl::Now() - cut);
  // Those that were answered before did not have to be asked again: their mv said so, and nothing undid it.
  Until(node(2), absl::StrCat("for i in ", all, "; do [[ $(cat ", path(2, "$i"), "/number) == $i ]] || exit 1; done"),
        absl::Minutes(3));
  Run(node(1), "! grep /data/agent/mnt /proc/mounts");
  // One session a dataset, and that is node2's.
  EXPECT_EQ(Run(array(), "tgtadm -C 0 --lld iscsi --op show --mode target | grep -c 'I_T nexus:'"),
            absl::StrCat(kDatasets, "\n"));
  Run(node(3), absl::StrCat("for i in ", all, "; do rmdir ", path(2, "$i"), " || exit 1; done"), absl::Minutes(4));
}

}  // namespace
}  // namespace flocker::lab
