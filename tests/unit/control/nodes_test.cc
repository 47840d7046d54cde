// Nodes that are drained and removed.
#include <gmock/gmock.h>

#include "engine/base/status.h"
#include "tests/unit/control/controller_fixture.h"

namespace flocker {
namespace {

using ::testing::HasSubstr;
using testing::NodeNumber;

class ControllerNodes : public testing::ControllerTest {
 protected:
  rpc::Outcome Ask(rpc::NodeChange::Kind kind, int node, SessionId session = 0) {
    rpc::OperationRequest request;
    request.set_id("op-node-" + std::to_string(++asked_));
    request.mutable_node_change()->set_node_id(NodeNumber(node).str());
    request.mutable_node_change()->set_kind(kind);
    controller_->OnOperation(request, {.session = session, .call = 1000 + asked_}, now_);
    Flush();
    for (const auto& [call, reply] : world_.replies) {
      if (call == 1000 + asked_) return reply.outcome();
    }
    for (const auto& [to, message] : world_.sent) {
      if (message.has_reply() && message.reply().id() == request.id()) return message.reply().outcome();
    }
    ADD_FAILURE() << "no answer";
    return {};
  }
  std::string CauseOfAsking(rpc::NodeChange::Kind kind, int node) { return Ask(kind, node).cause(); }

  // What a control that starts now finds on its disk.
  Snapshot OnDisk() const {
    Snapshot snapshot;
    std::map<NodeId, Node> nodes;
    for (const Batch& batch : world_.batches) {
      for (const Node& node : batch.put_nodes) nodes[node.id] = node;
      for (const NodeId& id : batch.erase_nodes) nodes.erase(id);
      for (const auto& [key, value] : batch.meta) {
        if (value.empty()) {
          snapshot.meta.erase(key);
        } else {
          snapshot.meta[key] = value;
        }
      }
    }
    for (const auto& [id, node] : nodes) snapshot.nodes.push_back(node);
    for (const auto& [id, dataset] : world_.committed) snapshot.datasets.push_back(dataset);
    return snapshot;
  }

 private:
  uint64_t asked_ = 0;
};

TEST_F(ControllerNodes, ADrainedNodeTakesNothingNewAndKeepsWhatItHas) {
  const DatasetId id = AttachOne();
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::DRAIN, 1), "");
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
  Create("op-web", "web", 1, {.session = 0, .call = 20});
  EXPECT_EQ(CauseOfReply(20), "forbidden");
  Move("op-rename", id, 1, 21);  // where it is
  EXPECT_EQ(CauseOfReply(21), "ok");
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::DRAIN, 2), "");
  Move("op-move", id, 2, 22);
  EXPECT_EQ(CauseOfReply(22), "forbidden");
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::UNDRAIN, 2), "");
  Move("op-move-2", id, 2, 23);
  EXPECT_EQ(PhaseOf(id), Phase::kDetaching);
}

TEST_F(ControllerNodes, ADrainedNodeStaysSoOverARestartAndIsShown) {
  AttachOne();
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::DRAIN, 2), "");
  Restart(OnDisk());
  EXPECT_TRUE(controller_->cluster().Drained(NodeNumber(2)));
  EXPECT_FALSE(controller_->cluster().Drained(NodeNumber(1)));
  EXPECT_TRUE(controller_->View().nodes(1).drained());
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::UNDRAIN, 2), "");
  Restart(OnDisk());
  EXPECT_FALSE(controller_->cluster().Drained(NodeNumber(2)));
}

TEST_F(ControllerNodes, ANodeIsRemovedWhenItIsAwayAndHasNothing) {
  const DatasetId id = AttachOne();
  const rpc::Outcome refused = Ask(rpc::NodeChange::REMOVE, 1);
  EXPECT_EQ(refused.cause(), "busy");
  EXPECT_THAT(refused.message(), HasSubstr("1 dataset (db)"));
  EXPECT_THAT(Ask(rpc::NodeChange::REMOVE, 2).message(), HasSubstr("stop its flocker-agent"));
  controller_->OnAgentGone(2, now_);
  Flush();
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::REMOVE, 2), "busy") << "it may be back in a moment";
  for (int i = 0; i < 6; ++i) {
    Beat(1);
    Advance(absl::Seconds(1));
  }
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::DRAIN, 2), "");
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::REMOVE, 2), "");
  EXPECT_EQ(controller_->cluster().FindNode(NodeNumber(2)), nullptr);
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::REMOVE, 2), "") << "asked again after a lost answer";
  EXPECT_TRUE(OnDisk().meta.empty() || !OnDisk().meta.contains(kDrainedMeta + NodeNumber(2).str()));
  Advance(absl::Seconds(1));  // news are coalesced
  EXPECT_TRUE(std::any_of(world_.sent.begin(), world_.sent.end(), [](const auto& sent) {
    const auto& gone = sent.second.view().gone_nodes();
    return std::find(gone.begin(), gone.end(), NodeNumber(2).str()) != gone.end();
  }));
  EXPECT_EQ(PhaseOf(id), Phase::kAttached);
  Hello(3, 2, "beta");  // it joins anew, and takes datasets
  Move("op-move", id, 2, 30);
  EXPECT_EQ(PhaseOf(id), Phase::kDetaching);
}

TEST_F(ControllerNodes, AreNotChangedThroughATree) {
  AttachOne();
  EXPECT_EQ(Ask(rpc::NodeChange::DRAIN, 2, 1).cause(), "forbidden");
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::DRAIN, 7), "not-found");
  EXPECT_EQ(CauseOfAsking(rpc::NodeChange::KIND_UNSPECIFIED, 1), "invalid");
}

TEST_F(ControllerNodes, AViewOfOneDatasetHasThatAlone) {
  const DatasetId id = AttachOne();
  Create("op-web", "web", 1, {.session = 0, .call = 20});
  EXPECT_EQ(controller_->View().datasets_size(), 2);
  rpc::ViewRequest request;
  request.set_dataset_id(id.str());
  const rpc::ViewReply one = controller_->View(request);
  ASSERT_EQ(one.datasets_size(), 1);
  EXPECT_EQ(one.datasets(0).id(), id.str());
  EXPECT_EQ(one.nodes_size(), 2);
  EXPECT_EQ(one.last_event(), controller_->last_event_seq());
}

}  // namespace
}  // namespace flocker
