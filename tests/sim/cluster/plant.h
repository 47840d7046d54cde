// Bugs planted on purpose, to show that the simulation would find them. Each lives in the simulation's own glue (what
// stands between the real code and the simulated world), never in the product.
#pragma once

namespace flocker::sim {

enum class Plant {
  kNone,
  kGrantBeforeRevoke,      // a revoke is answered at once and carried out later, beside the next grant
  kEpochNotCompared,       // the array knows its guests by their nodes alone, whatever the epoch of their grant
  kReleaseWithoutProof,    // control believes in a release the moment it asks for it
  kProofSkipped,           // the agent believes a scan that finds nobody, and proves nothing
  kFenceNotVerified,       // a fence is done when the array says so, with the session still there
  kCommitAfterAction,      // effects leave before what they rest on is durable
  kTombstoneForgotten,     // a node that holds what was destroyed meanwhile is not told to drop it
  kReissueWithoutRenewal,  // a LUN server whose session broke logs in once more under its old grant and issues again
  kNewBesideInherited,     // a successor issues new requests before all that it inherited is answered
  kFormatUnasked,          // mkfs without looking at what is there
  kLeasesForgotten,        // control starts anew without the leases it gave
};

}  // namespace flocker::sim
