// What readers are shown, and what the tag covers.
#include "engine/rest/published.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/model/size.h"
#include "tests/unit/model/fixtures.h"

namespace flocker {
namespace {

using nlohmann::json;
using testing::DatasetNumber;
using testing::NodeNumber;

class Published : public ::testing::Test {
 protected:
  Published() {
    dataset_.id = DatasetNumber(1);
    dataset_.name = "db";
    dataset_.metadata = {{"name", "db"}};
    dataset_.size = kMinSize;
    dataset_.desired = {.node = NodeNumber(1), .name = "db"};
    dataset_.placement = {.node = NodeNumber(1), .phase = Phase::kAttached, .epoch = 3, .mount_epoch = 3};
    cluster_.PutNode({.id = NodeNumber(1), .name = "alpha", .address = "10.0.0.11", .boot_id = "era"});
    cluster_.SetLiveness(NodeNumber(1), Liveness::kConnected);
  }

  void Show(DatasetFacts facts = {}) {
    facts.dataset = &dataset_;
    state_.StageDataset(dataset_.id, facts, cluster_);
    state_.StageNodes(cluster_);
    state_.Publish();
  }
  json Configured() { return json::parse(*state_.Datasets().text).at(0); }
  json State() { return json::parse(*state_.States()).at(0); }
  std::string Tag() { return state_.Datasets().tag; }

  Dataset dataset_;
  Cluster cluster_;
  PublishedState state_;
};

TEST_F(Published, NothingIsShownBeforeItIsPublished) {
  state_.StageDataset(dataset_.id, {.dataset = &dataset_}, cluster_);
  EXPECT_EQ(*state_.Datasets().text, "[]");
  const std::string staged = state_.StagedTag();
  EXPECT_NE(Tag(), staged);
  state_.Publish();
  EXPECT_EQ(Tag(), staged);
  EXPECT_EQ(json::parse(*state_.Datasets().text).size(), 1U);
}

TEST_F(Published, ADatasetHasTheKeysOfV1AndNoOthers) {
  Show();
  EXPECT_EQ(Configured(), (json{{"dataset_id", dataset_.id.str()},
                                {"primary", NodeNumber(1).str()},
                                {"deleted", false},
                                {"maximum_size", kMinSize},
                                {"metadata", {{"name", "db"}}}}));
  EXPECT_EQ(State(), (json{{"dataset_id", dataset_.id.str()},
                           {"primary", NodeNumber(1).str()},
                           {"path", "/flocker/" + dataset_.id.str()},
                           {"maximum_size", kMinSize}}));
  EXPECT_EQ(*state_.Nodes(), R"([{"host":"10.0.0.11","uuid":")" + NodeNumber(1).str() + "\"}]");
  EXPECT_EQ(state_.NodeOfEra("era"), NodeNumber(1));
  EXPECT_EQ(state_.NodeOfEra("other"), std::nullopt);
}

TEST_F(Published, TheSizeIsTheOneThatWasAskedForUntilItGrows) {
  dataset_.size = kMinSize + kMiB;  // rounded up
  Show({.asked_size = kMinSize + 1024});
  EXPECT_EQ(Configured()["maximum_size"], kMinSize + 1024);
  EXPECT_EQ(State()["maximum_size"], kMinSize + kMiB);
  dataset_.grows_from = dataset_.size;
  dataset_.size = kGiB;
  Show({.asked_size = kMinSize + 1024});
  EXPECT_EQ(Configured()["maximum_size"], kGiB);
  EXPECT_EQ(State()["maximum_size"], kMinSize + kMiB) << "what the volume has";
  dataset_.size = kDefaultSize;
  Show({.asked_size = 0});
  EXPECT_FALSE(Configured().contains("maximum_size"));
}

TEST_F(Published, AWishIsShownAsIfItWereSo) {
  const Wish move{.dataset = dataset_.id, .node = NodeNumber(2)};
  Show({.wish = &move});
  EXPECT_EQ(Configured()["primary"], NodeNumber(2).str());
  EXPECT_EQ(State()["primary"], NodeNumber(1).str());
  const Wish destroy{.dataset = dataset_.id};
  Show({.wish = &destroy});
  EXPECT_EQ(Configured()["deleted"], true);
  Show();
  EXPECT_EQ(Configured()["deleted"], false);
}

TEST_F(Published, OnlyWhatIsMountedHasPrimaryAndPath) {
  dataset_.placement.phase = Phase::kAttaching;
  Show();
  EXPECT_FALSE(State().contains("primary") || State().contains("path"));
  dataset_.placement.phase = Phase::kRenewing;
  Show();
  EXPECT_FALSE(State().contains("primary")) << "it was never seen mounted";
  dataset_.placement.phase = Phase::kAttached;
  Show();
  for (const Phase phase : {Phase::kRenewing, Phase::kDetaching}) {
    dataset_.placement.phase = phase;
    dataset_.placement.epoch = 4;
    Show();
    EXPECT_EQ(State()["primary"], NodeNumber(1).str()) << PhaseName(phase);
  }
  cluster_.SetLiveness(NodeNumber(1), Liveness::kDown);
  Show();
  EXPECT_FALSE(State().contains("primary")) << "nobody knows";
  EXPECT_EQ(*state_.Nodes(), "[]");
}

TEST_F(Published, WhatIsDestroyedStaysConfiguredAndLeavesTheState) {
  dataset_.desired.deleted = true;
  dataset_.placement.phase = Phase::kTrashed;
  Show();
  EXPECT_EQ(Configured()["deleted"], true);
  EXPECT_EQ(*state_.States(), "[]");
  state_.StageDataset(dataset_.id, {}, cluster_);
  state_.Publish();
  EXPECT_EQ(*state_.Datasets().text, "[]");
  EXPECT_EQ(Tag(), PublishedState().StagedTag()) << "back where it began";
}

TEST_F(Published, TheTagIsTheConfigurationsAlone) {
  Show();
  const std::string before = Tag();
  EXPECT_EQ(before.size(), 32U);
  dataset_.placement.phase = Phase::kDetaching;
  dataset_.error = "no";
  Show();
  EXPECT_EQ(Tag(), before) << "the state is no part of it";
  const Lease lease{.dataset = dataset_.id, .node = NodeNumber(1), .expires_ms = 5};
  Show({.lease = &lease});
  const std::string leased = Tag();
  EXPECT_NE(leased, before);
  const Lease renewed{.dataset = dataset_.id, .node = NodeNumber(1), .expires_ms = 6};
  Show({.lease = &renewed});
  EXPECT_NE(Tag(), leased) << "a renewal changes it";
  Show();
  EXPECT_EQ(Tag(), before);
  dataset_.metadata["x"] = "y";
  Show();
  EXPECT_NE(Tag(), before);
}

TEST_F(Published, LeasesTellWhatIsLeftOfThem) {
  const Lease lease{.dataset = dataset_.id, .node = NodeNumber(2), .expires_ms = 5};
  Show({.lease = &lease, .lease_end = absl::Seconds(100)});
  EXPECT_EQ(json::parse(state_.Leases(absl::Seconds(90))),
            (json{{{"dataset_id", dataset_.id.str()}, {"node_uuid", NodeNumber(2).str()}, {"expires", 10.0}}}));
  Show({.lease = &lease});
  EXPECT_TRUE(json::parse(state_.Leases({})).at(0)["expires"].is_null());
}

TEST_F(Published, ATextIsPutTogetherOncePerChange) {
  Show();
  const auto first = state_.Datasets().text;
  EXPECT_EQ(state_.Datasets().text, first);
  dataset_.placement.epoch = 9;  // nothing that anybody is shown
  Show();
  EXPECT_EQ(state_.Datasets().text, first);
  dataset_.metadata["x"] = "y";
  Show();
  EXPECT_NE(state_.Datasets().text, first);
  EXPECT_EQ(json::parse(*first).at(0)["metadata"].size(), 1U) << "who still reads the old one is not disturbed";
}

}  // namespace
}  // namespace flocker
