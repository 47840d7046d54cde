#include "engine/model/nodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/status.h"
#include "engine/model/operations.h"
#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using testing::DatasetNumber;
using ::testing::HasSubstr;
using testing::NodeNumber;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(CheckTakes, RefusesTheUnknownTheSilentAndTheDrained) {
  Cluster cluster = testing::TwoNodes();
  EXPECT_TRUE(CheckTakes(cluster, NodeNumber(1)).ok());
  EXPECT_EQ(CauseOf(CheckTakes(cluster, NodeNumber(3))), Cause::kNodeDown);
  cluster.SetDrained(NodeNumber(1), true);
  EXPECT_EQ(CauseOf(CheckTakes(cluster, NodeNumber(1))), Cause::kForbidden);
  EXPECT_THAT(Message(CheckTakes(cluster, NodeNumber(1))), HasSubstr("flockerctl nodes undrain alpha"));
  cluster.SetLiveness(NodeNumber(1), Liveness::kSilent);
  EXPECT_EQ(CauseOf(CheckTakes(cluster, NodeNumber(1))), Cause::kNodeDown);
  cluster.EraseNode(NodeNumber(1));
  cluster.PutNode({.id = NodeNumber(1), .name = "alpha"});
  cluster.SetLiveness(NodeNumber(1), Liveness::kConnected);
  EXPECT_TRUE(CheckTakes(cluster, NodeNumber(1)).ok()) << "whoever joins anew is not drained";
}

TEST(Drained, HoldsForEveryWayToGetThere) {
  Cluster cluster = testing::TwoNodes();
  testing::AttachOnAlpha(cluster);
  Dataset other = testing::Fresh1("web");
  other.id = DatasetNumber(2);
  other.desired.node = NodeNumber(2);
  other.operation.done = true;
  cluster.Put(other);
  cluster.SetDrained(NodeNumber(2), true);
  const auto cause = [](const absl::Status& status) { return status.ok() ? Cause::kIo : CauseOf(status); };
  EXPECT_EQ(cause(PlanCreate(cluster, {.id = DatasetNumber(3), .node = NodeNumber(2), .name = "new"}).status()),
            Cause::kForbidden);
  EXPECT_EQ(cause(PlanRename(cluster, {.id = DatasetNumber(1), .node = NodeNumber(2), .name = "db"}).status()),
            Cause::kForbidden);
  EXPECT_EQ(cause(PlanExchange(cluster, {.one = DatasetNumber(1), .two = DatasetNumber(2)}).status()),
            Cause::kForbidden);
  EXPECT_TRUE(PlanRename(cluster, {.id = DatasetNumber(2), .node = NodeNumber(2), .name = "renamed"}).ok());
  EXPECT_TRUE(PlanRename(cluster, {.id = DatasetNumber(2), .node = NodeNumber(1), .name = "web"}).ok());
}

TEST(CheckRemovable, RefusesWhileADatasetIsOrIsWantedThere) {
  Cluster cluster = testing::TwoNodes();
  testing::AttachOnAlpha(cluster);
  for (const int node : {1, 2}) cluster.SetLiveness(NodeNumber(node), Liveness::kDown);
  EXPECT_EQ(CauseOf(CheckRemovable(cluster, NodeNumber(1))), Cause::kBusy);
  EXPECT_THAT(Message(CheckRemovable(cluster, NodeNumber(1))), HasSubstr("1 dataset (db)"));
  EXPECT_TRUE(CheckRemovable(cluster, NodeNumber(2)).ok());
  Dataset dataset = *cluster.Find(DatasetNumber(1));
  dataset.desired.node = NodeNumber(2);  // on its way
  cluster.Put(dataset);
  EXPECT_FALSE(CheckRemovable(cluster, NodeNumber(1)).ok());
  EXPECT_FALSE(CheckRemovable(cluster, NodeNumber(2)).ok());
  dataset.desired.deleted = true;  // on its way to the trash: alpha still has it, beta never will
  cluster.Put(dataset);
  EXPECT_FALSE(CheckRemovable(cluster, NodeNumber(1)).ok());
  EXPECT_TRUE(CheckRemovable(cluster, NodeNumber(2)).ok());
}

TEST(CheckRemovable, RefusesWhoMayBeBackInAMoment) {
  Cluster cluster = testing::TwoNodes();
  EXPECT_EQ(CauseOf(CheckRemovable(cluster, NodeNumber(2))), Cause::kBusy);
  cluster.SetLiveness(NodeNumber(2), Liveness::kSilent);
  EXPECT_EQ(CauseOf(CheckRemovable(cluster, NodeNumber(2))), Cause::kBusy);
}

TEST(CheckRemovable, NamesSomeOfMany) {
  Cluster cluster = testing::TwoNodes();
  for (int i = 1; i <= 9; ++i) {
    Dataset dataset = testing::Fresh1("d" + std::to_string(i));
    dataset.id = DatasetNumber(i);
    cluster.Put(dataset);
  }
  EXPECT_THAT(Message(CheckRemovable(cluster, NodeNumber(1))), HasSubstr("9 datasets (d1, d2,"));
  EXPECT_THAT(Message(CheckRemovable(cluster, NodeNumber(1))), HasSubstr("d8, …)"));
}

}  // namespace
}  // namespace flocker
