// Leases, and what v1 was promised that cannot be done at once (flocker-v1.md §1.4, §4.5).
#include <fcntl.h>
#include <cmath>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "engine/base/unique_fd.h"
#include "tests/contract/rest/v1_cluster.h"
#include "tests/harness/tree_calls.h"

namespace flocker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Leases : public V1Test {
 protected:
  std::string At(const std::string& id) { return absl::StrCat(kLeases, "/", id); }
};

TEST_F(Leases, AreTakenRenewedAndReleased) {
  const std::string alpha = Node("alpha");
  const HttpAnswer taken = client().Post(kLeases, Lease(kUnknownDataset, alpha, 100));
  EXPECT_EQ(taken.status, 201) << "nobody checks that the dataset exists: " << taken.body;
  EXPECT_EQ(taken.Json(), Lease(kUnknownDataset, alpha, 100.0));
  EXPECT_EQ(client().Post(kLeases, Lease(kUnknownDataset, alpha, nullptr)).status, 200);
  EXPECT_EQ(client().Get(kLeases).Json(), json::array({Lease(kUnknownDataset, alpha, nullptr)}));
  EXPECT_DESCRIBED(client().Post(kLeases, Lease(kUnknownDataset, Node("beta"), 5)), 409, "Lease already held.");
  EXPECT_EQ(client().Post(kLeases, Lease(kUnknownDataset, alpha, 50)).status, 200);
  const json left = client().Get(kLeases).Json()[0]["expires"];
  EXPECT_TRUE(left.is_number() && left > 20 && left <= 50) << left;
  std::string upper = kUnknownDataset;
  for (char& c : upper) c = static_cast<char>(toupper(c));
  const HttpAnswer released = client().Delete(At(upper));
  EXPECT_EQ(released.status, 200) << "ids of leases are compared as UUIDs";
  EXPECT_EQ(released.Json()["dataset_id"], kUnknownDataset);
  EXPECT_DESCRIBED(client().Delete(At(kUnknownDataset)), 404, "Lease not found.");
  EXPECT_DESCRIBED(client().Delete(At("nonsense")), 404, "Lease not found.");
  EXPECT_EQ(client().Post(kLeases, {{"dataset_id", kUnknownDataset}}).status, 400);
}

TEST_F(Leases, EndByThemselves) {
  ASSERT_EQ(client().Post(kLeases, Lease(kUnknownDataset, kUnknownNode, 0.5)).status, 201);
  EXPECT_TRUE(Eventually(kSoon, [&] { return client().Get(kLeases).Json().empty(); }));
  EXPECT_EQ(client().Post(kLeases, Lease(kUnknownDataset, kUnknownNode, -3)).status, 201);
  EXPECT_TRUE(Eventually(kSoon, [&] { return client().Get(kLeases).Json().empty(); }));
  EXPECT_TRUE(cluster().Happened("lease-expired"));
}

TEST_F(Leases, ChangeTheTagAndAskForNone) {
  const std::string before = Tag();
  const HttpClient::Headers old = {{"X-If-Configuration-Matches", "old"}};
  ASSERT_EQ(client().Post(kLeases, Lease(kUnknownDataset, kUnknownNode, 50), old).status, 201) << "not looked at";
  const std::string taken = Tag();
  EXPECT_NE(taken, before);
  ASSERT_EQ(client().Post(kLeases, Lease(kUnknownDataset, kUnknownNode, 60)).status, 200);
  EXPECT_NE(Tag(), taken);
  ASSERT_EQ(client().Delete(At(kUnknownDataset), old).status, 200);
  EXPECT_EQ(Tag(), before);
}

TEST_F(Leases, KeepADatasetWhereItIs) {
  const std::string id = MakeAttached("alpha", "leased");
  ASSERT_EQ(client().Post(kLeases, Lease(id, Node("alpha"), nullptr)).status, 201);
  const CommandResult moved = cluster().Ctl({"move", "-d", "leased", "-t", "beta"});
  EXPECT_NE(moved.exit_code, 0);
  EXPECT_THAT(moved.output, HasSubstr("busy: dataset leased is leased to node alpha"));
  EXPECT_THAT(cluster().Ctl({"destroy", "-d", "leased"}).output, HasSubstr("leased to node alpha"));
  EXPECT_EQ(Rename(cluster().Path("alpha", "leased"), cluster().tree("alpha") + "/beta/leased"), EBUSY);
  EXPECT_EQ(RemoveDir(cluster().Path("alpha", "leased")), EBUSY);
  EXPECT_EQ(Rename(cluster().Path("alpha", "leased"), cluster().Path("alpha", "renamed")), 0) << "it stays there";
  ASSERT_EQ(client().Delete(At(id)).status, 200);
  EXPECT_EQ(cluster().Ctl({"move", "-d", "renamed", "-t", "beta"}).exit_code, 0);
}

TEST_F(Leases, ForAnotherNodeAreNoHindrance) {
  const std::string id = MakeAttached("alpha", "invited");
  ASSERT_EQ(client().Post(kLeases, Lease(id, Node("beta"), nullptr)).status, 201);
  EXPECT_EQ(cluster().Ctl({"move", "-d", "invited", "-t", "beta"}).exit_code, 0) << "whoever wants it there may say so";
  EXPECT_NE(cluster().Ctl({"move", "-d", "invited", "-t", "alpha"}).exit_code, 0);
  ASSERT_EQ(client().Delete(At(id)).status, 200);
}

TEST_F(Leases, AMoveWaitsUntilTheLeaseIsReleased) {
  const std::string id = MakeAttached("alpha", "patient");
  ASSERT_EQ(client().Post(kLeases, Lease(id, Node("alpha"), nullptr)).status, 201);
  const HttpAnswer moved = client().Post(Path(id), {{"primary", Node("beta")}});
  EXPECT_EQ(moved.status, 200) << moved.body;
  EXPECT_EQ(PrimaryOf(kDatasets, id), Node("beta"));
  EXPECT_EQ(PrimaryOf(kStates, id), Node("alpha"));
  ASSERT_EQ(client().Delete(At(id)).status, 200);
  EXPECT_TRUE(Eventually(kSoon, [&] { return MountedOn(id, "beta"); }));
}

TEST_F(Leases, ADeleteWaitsUntilNobodyHoldsIt) {
  const std::string id = MakeAttached("alpha", "held");
  const std::string file = cluster().Path("alpha", "held") + "/file";
  unique_fd holder(open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(holder);
  EXPECT_EQ(client().Delete(Path(id)).status, 200);
  EXPECT_EQ(Entry(kDatasets, id)["deleted"], true);
  // It was tried, and the holder was found.
  EXPECT_TRUE(Eventually(kSoon, [&] { return cluster().Happened("destroy refused"); }));
  EXPECT_TRUE(MountedOn(id, "alpha"));
  holder.reset();
  EXPECT_TRUE(Eventually(kSoon, [&] { return Entry(kStates, id).is_null(); })) << cluster().Ctl({"events"}).output;
  EXPECT_EQ(Entry(kDatasets, id)["deleted"], true);
}

TEST_F(Leases, AMoveThatStaysImpossibleIsGivenUpAndSaysWhy) {
  const std::string id = MakeAttached("alpha", "stuck");
  ASSERT_EQ(client().Post(Path(id), {{"primary", kUnknownNode}}).status, 200) << "v1 asks nobody";
  EXPECT_EQ(PrimaryOf(kDatasets, id), kUnknownNode);
  EXPECT_TRUE(Eventually(kSoon, [&] { return PrimaryOf(kDatasets, id) == Node("alpha"); }));
  EXPECT_THAT(cluster().Why("stuck"),
              HasSubstr(absl::StrCat("move given up after ", kPatience, "s: no node has the id")));
  EXPECT_TRUE(MountedOn(id, "alpha")) << "where it was all the time";
}

TEST_F(Leases, WhatAnotherClientDoesTakesTheWishesPlace) {
  const std::string id = MakeAttached("alpha", "decided");
  ASSERT_EQ(client().Post(Path(id), {{"primary", kUnknownNode}}).status, 200);
  ASSERT_EQ(cluster().Ctl({"move", "-d", "decided", "-t", "beta"}).exit_code, 0);
  EXPECT_EQ(PrimaryOf(kDatasets, id), Node("beta"));
}

TEST_F(Leases, LeasesAndWishesOutliveControl) {
  const std::string id = MakeAttached("alpha", "durable");
  ASSERT_EQ(client().Post(kLeases, Lease(id, Node("alpha"), 1000)).status, 201);
  ASSERT_EQ(client().Post(Path(id), {{"primary", Node("beta")}}).status, 200);
  const std::string tag = Tag();
  cluster().control().Kill();
  ASSERT_TRUE(cluster().StartControl().ok());
  ASSERT_TRUE(Eventually(kSoon, [&] { return cluster().Connected("alpha") && cluster().Connected("beta"); }));
  EXPECT_EQ(Tag(), tag) << "the same configuration";
  const json lease = client().Get(kLeases).Json()[0];
  EXPECT_EQ(lease["node_uuid"], Node("alpha"));
  EXPECT_GT(lease["expires"], 900);
  ASSERT_EQ(client().Delete(At(id)).status, 200);
  EXPECT_TRUE(Eventually(kSoon, [&] { return MountedOn(id, "beta"); })) << client().Get(kStates).body;
}

TEST_F(Leases, AreShownAndReleasedByFlockerctl) {
  const std::string id = MakeAttached("alpha", "shown");
  ASSERT_EQ(client().Post(kLeases, Lease(id, Node("alpha"), 1000)).status, 201);
  EXPECT_THAT(cluster().Ctl({"leases"}).output, HasSubstr("alpha"));
  EXPECT_THAT(cluster().Ctl({"leases"}).output, HasSubstr("shown"));
  EXPECT_EQ(cluster().Ctl({"leases", "release", "shown"}).exit_code, 0);
  EXPECT_TRUE(client().Get(kLeases).Json().empty());
  EXPECT_EQ(cluster().Ctl({"leases", "acquire", "shown", "-n", "alpha", "--seconds", "600"}).exit_code, 0);
  EXPECT_NE(cluster().Ctl({"leases", "acquire", "shown", "-n", "beta"}).exit_code, 0);
  EXPECT_EQ(client().Get(kLeases).Json().size(), 1U);
  EXPECT_EQ(cluster().Ctl({"leases", "release", id}).exit_code, 0);
  EXPECT_NE(cluster().Ctl({"leases", "release", "shown"}).exit_code, 0) << "there is none";
}

}  // namespace
}  // namespace flocker::testing
