// A whole cluster with its REST API, shared by the tests of one file, and the words in which they talk to it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/harness/cluster.h"
#include "tests/harness/http_client.h"
#include "tests/harness/wait.h"

namespace flocker::testing {

inline constexpr char kDatasets[] = "/v1/configuration/datasets";
inline constexpr char kStates[] = "/v1/state/datasets";
inline constexpr char kLeases[] = "/v1/configuration/leases";
inline constexpr char kUnknownNode[] = "0f0f0f0f-1111-4222-8333-444444444444";
inline constexpr char kUnknownDataset[] = "0e0e0e0e-1111-4222-8333-444444444444";
inline constexpr int kPatience = 20;  // seconds: move_patience of these clusters
inline constexpr absl::Duration kSoon = absl::Seconds(30);

class V1Test : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  TestCluster& cluster() { return *cluster_; }
  HttpClient& client() { return *client_; }

  std::string Node(const std::string& name);
  // POST of a dataset of 64 MiB; its id.
  std::string Make(const std::string& node, const std::string& name);
  // The same, and its native mount is there.
  std::string MakeAttached(const std::string& node, const std::string& name);
  std::string Path(const std::string& id) { return std::string(kDatasets) + "/" + id; }
  // The entry of a list; null when it has none for that dataset.
  nlohmann::json Entry(const std::string& list, const std::string& id);
  std::string PrimaryOf(const std::string& list, const std::string& id);
  bool MountedOn(const std::string& id, const std::string& node) { return PrimaryOf(kStates, id) == Node(node); }
  std::string Tag() { return client().Get(kDatasets).headers["x-configuration-tag"]; }
  nlohmann::json Lease(const std::string& id, const std::string& node_id, const nlohmann::json& expires);

 private:
  static std::unique_ptr<TestCluster> cluster_;
  static std::unique_ptr<HttpClient> client_;
  static std::map<std::string, std::string> nodes_;  // ids by name
};

// The answer has this status, and this description in its body.
#define EXPECT_DESCRIBED(answer, code, text)               \
  do {                                                     \
    const HttpAnswer got_ = (answer);                      \
    EXPECT_EQ(got_.status, code) << got_.body;             \
    EXPECT_EQ(got_.Json().value("description", ""), text); \
  } while (false)

}  // namespace flocker::testing
