// Every point at which a crash is tried: the only list. A row is one step of one operation, in the order in which the
// operation takes them; tests/fault makes its matrix of it, and fails when a row is not reached by its operation.
//
//   control.committed.<phase>  the record is on disk in that phase; nothing that rests on it has left yet
//   control.before.<action>    an array action is about to run; control.after.<action>: it ran, nobody heard of it yet
//   control.ordered.<action>   the node was told; nothing has come back
//   control.answering          the operation is done and durable, its client has not been told
//   agent.<local step>         the step is done (a report: queued), the attachment does not know it yet
//
// A new phase, action or local step without a row here fails tests/unit/model/fault_points_test.cc.
#pragma once

#include <array>
#include <string_view>

namespace flocker {

struct FaultPoint {
  std::string_view operation;
  std::string_view name;
};

// "renew": the session of an attached dataset is cut. "fence": a move off a node that is down; it comes back later.
// "grow": an attached dataset gets a larger size. "exchange": of two on different nodes; one leaves, then the other,
// then both change places. A point that both pass is the first one's. "refuse": a move of a dataset that somebody holds
// where no scan sees it.
inline constexpr auto kFaultPoints = std::to_array<FaultPoint>({
    {"create", "control.committed.provisioning"},
    {"create", "control.before.create"},
    {"create", "control.after.create"},
    {"create", "control.committed.granting"},
    {"create", "control.answering"},
    {"create", "control.before.grant"},
    {"create", "control.after.grant"},
    {"create", "control.committed.attaching"},
    {"create", "control.ordered.attach"},
    {"create", "agent.journaled"},
    {"create", "agent.lun-started"},
    {"create", "agent.login"},
    {"create", "agent.loop"},
    {"create", "agent.mkfs"},         // a filesystem of ours, its root directory not ready
    {"create", "agent.first-mount"},  // that directory is being made ready, out of everybody's sight
    {"create", "agent.format"},
    {"create", "agent.report-formatted"},
    {"create", "agent.mount"},
    {"create", "agent.report-attached"},
    {"create", "control.committed.attached"},

    {"move", "control.committed.detaching"},
    {"move", "control.ordered.release"},
    {"move", "agent.sync"},
    {"move", "agent.gate"},
    {"move", "agent.scan"},
    {"move", "agent.tree-dropped"},  // flocker-fs holds nothing of it; it is still mounted
    {"move", "agent.umount"},
    {"move", "agent.prove"},
    {"move", "agent.unloop"},
    {"move", "agent.logout"},
    {"move", "agent.report-released"},
    {"move", "control.committed.revoking"},
    {"move", "control.answering"},
    {"move", "control.before.revoke"},
    {"move", "control.after.revoke"},
    {"move", "control.committed.granting"},
    {"move", "control.before.grant"},
    {"move", "control.after.grant"},
    {"move", "control.committed.attaching"},
    {"move", "control.ordered.attach"},
    {"move", "agent.journaled"},
    {"move", "agent.lun-started"},
    {"move", "agent.login"},
    {"move", "agent.loop"},
    {"move", "agent.format"},
    {"move", "agent.mount"},
    {"move", "agent.report-attached"},
    {"move", "control.committed.attached"},

    {"destroy", "control.committed.detaching"},
    {"destroy", "control.ordered.release"},
    {"destroy", "agent.sync"},
    {"destroy", "agent.gate"},
    {"destroy", "agent.scan"},
    {"destroy", "agent.tree-dropped"},
    {"destroy", "agent.umount"},
    {"destroy", "agent.prove"},
    {"destroy", "agent.unloop"},
    {"destroy", "agent.logout"},
    {"destroy", "agent.report-released"},
    {"destroy", "control.committed.revoking"},
    {"destroy", "control.answering"},
    {"destroy", "control.before.revoke"},
    {"destroy", "control.after.revoke"},
    {"destroy", "control.committed.trashed"},

    {"restore", "control.committed.granting"},
    {"restore", "control.answering"},
    {"restore", "control.before.grant"},
    {"restore", "control.after.grant"},
    {"restore", "control.committed.attaching"},
    {"restore", "control.ordered.attach"},
    {"restore", "agent.journaled"},
    {"restore", "agent.lun-started"},
    {"restore", "agent.login"},
    {"restore", "agent.loop"},
    {"restore", "agent.format"},
    {"restore", "agent.mount"},
    {"restore", "agent.report-attached"},
    {"restore", "control.committed.attached"},

    {"purge", "control.committed.purging"},
    {"purge", "control.before.purge"},
    {"purge", "control.after.purge"},
    {"purge", "control.committed.gone"},
    {"purge", "control.answering"},

    {"renew", "control.committed.renewing"},
    {"renew", "control.before.renew"},
    {"renew", "control.after.renew"},
    {"renew", "control.ordered.attach"},
    {"renew", "agent.renewal-journaled"},
    {"renew", "agent.report-attached"},
    {"renew", "control.committed.attached"},

    {"grow", "control.committed.renewing"},
    {"grow", "control.answering"},
    {"grow", "control.before.renew"},
    {"grow", "control.after.renew"},  // the LUN has grown, nobody heard of it yet
    {"grow", "control.ordered.attach"},
    {"grow", "agent.renewal-journaled"},
    {"grow", "agent.loop-grown"},  // the filesystem has not
    {"grow", "agent.grow"},
    {"grow", "agent.report-attached"},
    {"grow", "control.committed.attached"},

    {"exchange", "control.committed.detaching"},
    {"exchange", "control.ordered.release"},
    {"exchange", "agent.sync"},
    {"exchange", "agent.gate"},
    {"exchange", "agent.scan"},
    {"exchange", "agent.tree-dropped"},
    {"exchange", "agent.umount"},
    {"exchange", "agent.prove"},
    {"exchange", "agent.unloop"},
    {"exchange", "agent.logout"},
    {"exchange", "agent.report-released"},
    {"exchange", "control.committed.revoking"},
    {"exchange", "control.before.revoke"},
    {"exchange", "control.after.revoke"},
    {"exchange", "control.committed.detached"},  // one has left and waits; the other is told to
    {"exchange", "control.committed.granting"},  // both have left, and have changed places
    {"exchange", "control.answering"},
    {"exchange", "control.before.grant"},
    {"exchange", "control.after.grant"},
    {"exchange", "control.committed.attaching"},
    {"exchange", "control.ordered.attach"},
    {"exchange", "agent.journaled"},
    {"exchange", "agent.lun-started"},
    {"exchange", "agent.login"},
    {"exchange", "agent.loop"},
    {"exchange", "agent.format"},
    {"exchange", "agent.mount"},
    {"exchange", "agent.report-attached"},
    {"exchange", "control.committed.attached"},

    {"fence", "control.committed.fencing"},
    {"fence", "control.before.fence"},
    {"fence", "control.after.fence"},
    {"fence", "agent.drop-ordered"},  // the journal says so, nothing is cleaned up yet
    {"fence", "agent.drop"},

    {"refuse", "agent.remount"},
    {"refuse", "agent.report-busy"},
});

constexpr bool IsFaultPoint(std::string_view name) {
  for (const FaultPoint& point : kFaultPoints) {
    if (point.name == name) return true;
  }
  return false;
}

}  // namespace flocker
