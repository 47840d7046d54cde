#include "tests/contract/rest/v1_cluster.h"

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/model/size.h"

namespace flocker::testing {

std::unique_ptr<TestCluster> V1Test::cluster_;
std::unique_ptr<HttpClient> V1Test::client_;
std::map<std::string, std::string> V1Test::nodes_;

void V1Test::SetUpTestSuite() {
  const int port = FreePort();
  cluster_ = std::make_unique<TestCluster>(
      ClusterOptions{.control_flags = {"--insecure", "--rest", absl::StrCat("127.0.0.1:", port), "--move-patience",
                                       absl::StrCat(kPatience)}});
  client_ = std::make_unique<HttpClient>(port);
  const absl::Status started = cluster_->Start();
  ASSERT_TRUE(started.ok()) << started;
}

void V1Test::TearDownTestSuite() {
  const ::testing::TestSuite* suite = ::testing::UnitTest::GetInstance()->current_test_suite();
  if (suite->Failed()) std::cerr << "-- control.log\n" << cluster_->control().log();
  client_.reset();
  cluster_.reset();
  nodes_.clear();
}

std::string V1Test::Node(const std::string& name) {
  if (const auto known = nodes_.find(name); known != nodes_.end()) return known->second;
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(cluster().Ctl({"list-nodes", "-l"}).output, '\n'))) {
    const std::vector<std::string> cells = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (cells.size() >= 3 && cells[2] == name) return nodes_[name] = cells[0];
  }
  ADD_FAILURE() << "no node " << name;
  return "";
}

std::string V1Test::Make(const std::string& node, const std::string& name) {
  const HttpAnswer made =
      client().Post(kDatasets, {{"primary", Node(node)}, {"maximum_size", kMinSize}, {"metadata", {{"name", name}}}});
  EXPECT_EQ(made.status, 201) << made.body;
  return made.Json().value("dataset_id", "");
}

std::string V1Test::MakeAttached(const std::string& node, const std::string& name) {
  const std::string id = Make(node, name);
  EXPECT_TRUE(Eventually(kSoon, [&] { return MountedOn(id, node); })) << client().Get(kStates).body;
  return id;
}

nlohmann::json V1Test::Entry(const std::string& list, const std::string& id) {
  const nlohmann::json entries = client().Get(list).Json();
  for (const auto& entry : entries) {
    if (entry["dataset_id"] == id) return entry;
  }
  return nullptr;
}

std::string V1Test::PrimaryOf(const std::string& list, const std::string& id) {
  const nlohmann::json entry = Entry(list, id);
  return entry.is_object() ? entry.value("primary", "") : "";
}

nlohmann::json V1Test::Lease(const std::string& id, const std::string& node_id, const nlohmann::json& expires) {
  return {{"dataset_id", id}, {"node_uuid", node_id}, {"expires", expires}};
}

}  // namespace flocker::testing
