// Datasets as Flocker v1's clients configure them (flocker-v1.md §1.2 to §1.5), against a real control service.
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "engine/model/size.h"
#include "tests/contract/rest/v1_cluster.h"
#include "tests/harness/tree_calls.h"

namespace flocker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

using Configuration = V1Test;

TEST_F(Configuration, VersionIsOneString) {
  const json version = client().Get("/v1/version").Json();
  EXPECT_EQ(version, json({{"flocker", FLOCKER_VERSION}}));
}

TEST_F(Configuration, UnknownPathsAndMethodsAreRefused) {
  for (const char* path : {"/", "/v1", "/v2/version", "/v1/configuration/containers", "/v1/state/containers",
                           "/v1/configuration/datasets/", "/v1/configuration/datasets/a/b"}) {
    EXPECT_EQ(client().Get(path).status, 404) << path;
  }
  const HttpAnswer put = client().Send("PUT", kDatasets, "{}");
  EXPECT_EQ(put.status, 405);
  EXPECT_EQ(put.headers.at("allow"), "GET, POST");
  EXPECT_EQ(client().Get(Path(kUnknownDataset)).status, 405);
  EXPECT_EQ(client().Send("POST", "/v1/version", "{}").status, 405);
}

TEST_F(Configuration, CreateAnswersWhatIsConfigured) {
  const HttpAnswer made = client().Post(
      kDatasets, {{"primary", Node("alpha")}, {"maximum_size", kMinSize + 1024}, {"metadata", {{"a", "b"}}}});
  ASSERT_EQ(made.status, 201) << made.body;
  const json dataset = made.Json();
  const std::string id = dataset.value("dataset_id", "");
  EXPECT_EQ(dataset, json({{"dataset_id", id},
                           {"primary", Node("alpha")},
                           {"deleted", false},
                           {"metadata", {{"a", "b"}}},
                           {"maximum_size", kMinSize + 1024}}));
  EXPECT_EQ(Entry(kDatasets, id), dataset) << "the next read has it";
  EXPECT_EQ(id[14], '4') << "a UUID of version 4";
  // It has no name of its own, and the tree gives it one.
  const std::string shown = cluster().Path("alpha", "ds-" + id.substr(0, 8));
  EXPECT_TRUE(Eventually(kSoon, [&] { return std::filesystem::exists(shown); })) << shown;
  ASSERT_TRUE(Eventually(kSoon, [&] { return MountedOn(id, "alpha"); }));
  const json state = Entry(kStates, id);
  EXPECT_EQ(state, json({{"dataset_id", id},
                         {"primary", Node("alpha")},
                         {"path", "/flocker/" + id},
                         {"maximum_size", kMinSize + kMiB}}));
  struct stat root {};
  ASSERT_EQ(stat(shown.c_str(), &root), 0);
  EXPECT_EQ(root.st_mode & 07777U, 0777U);
  EXPECT_EQ(Entry(kDatasets, id), dataset) << "metadata stays as it was given";
}

TEST_F(Configuration, WithoutASizeNoneIsShown) {
  for (const json& body :
       {json({{"primary", Node("alpha")}}), json({{"primary", Node("alpha")}, {"maximum_size", nullptr}})}) {
    const HttpAnswer made = client().Post(kDatasets, body);
    ASSERT_EQ(made.status, 201) << made.body;
    const json dataset = made.Json();
    EXPECT_FALSE(dataset.contains("maximum_size"));
    EXPECT_EQ(dataset["metadata"], json::object());
    EXPECT_TRUE(Eventually(kSoon, [&] {
      const json state = Entry(kStates, dataset["dataset_id"]);
      return state.is_object() && state["maximum_size"] == kDefaultSize;
    }));
    EXPECT_EQ(Entry(kDatasets, dataset["dataset_id"]), dataset);
  }
}

TEST_F(Configuration, AnIdIsTakenOnceAndForAll) {
  const std::string upper = "ABCDEF01-2345-4678-B9AB-CDEF01234567";
  const std::string lower = "abcdef01-2345-4678-b9ab-cdef01234567";
  const json body = {{"primary", Node("alpha")}, {"dataset_id", upper}, {"maximum_size", kMinSize}};
  const HttpAnswer made = client().Post(kDatasets, body);
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.Json()["dataset_id"], lower);
  const auto refused = [&] {
    EXPECT_DESCRIBED(client().Post(kDatasets, body), 409, "The provided dataset_id is already in use.");
  };
  refused();
  ASSERT_TRUE(Eventually(kSoon, [&] { return MountedOn(lower, "alpha"); }));
  EXPECT_EQ(client().Delete(Path(lower)).status, 200);
  refused();
  ASSERT_TRUE(Eventually(kSoon, [&] { return Entry(kStates, lower).is_null(); }));
  EXPECT_EQ(Entry(kDatasets, lower)["deleted"], true) << "it stays configured";
  ASSERT_EQ(cluster().Ctl({"purge", lower}).exit_code, 0);
  ASSERT_TRUE(Eventually(kSoon, [&] { return Entry(kDatasets, lower).is_null(); }));
  refused();
  EXPECT_EQ(client().Delete(Path(lower)).Json()["deleted"], true) << "idempotent, also when its LUN is gone";
  EXPECT_DESCRIBED(client().Post(Path(lower), json::object()), 405, "The dataset has been deleted.");
}

TEST_F(Configuration, NamesNeedNotBeFree) {
  const std::string first = Make("alpha", "twin");
  const std::string second = Make("alpha", "twin");
  EXPECT_EQ(Entry(kDatasets, second)["metadata"]["name"], "twin");
  const std::string shown = cluster().Path("alpha", "ds-" + second.substr(0, 8));
  EXPECT_TRUE(Eventually(kSoon, [&] { return std::filesystem::exists(shown); })) << shown;
  EXPECT_TRUE(std::filesystem::exists(cluster().Path("alpha", "twin")));
}

TEST_F(Configuration, ANodeNeedNotBeKnown) {
  const HttpAnswer made = client().Post(kDatasets, {{"primary", kUnknownNode}, {"maximum_size", kMinSize}});
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string id = made.Json()["dataset_id"];
  ASSERT_TRUE(Eventually(kSoon, [&] { return Entry(kStates, id).is_object(); }));
  EXPECT_EQ(Entry(kStates, id), json({{"dataset_id", id}, {"maximum_size", kMinSize}})) << "pending";
  EXPECT_EQ(PrimaryOf(kDatasets, id), kUnknownNode);
  EXPECT_EQ(client().Post(Path(id), {{"primary", Node("beta")}}).status, 200);
  EXPECT_TRUE(Eventually(kSoon, [&] { return MountedOn(id, "beta"); }));
}

TEST_F(Configuration, BadBodiesAreDescribed) {
  const std::string undecodable =
      "The request body could not be decoded according to the value of the\nContent-Type header.";
  for (const char* path : {kDatasets, kLeases}) {
    EXPECT_DESCRIBED(client().Send("POST", path, ""), 400, undecodable);
    EXPECT_DESCRIBED(client().Send("POST", path, "{"), 400, undecodable);
  }
  EXPECT_DESCRIBED(client().Send("POST", Path(kUnknownDataset), "x"), 400, undecodable);
  const HttpAnswer wrong = client().Post(kDatasets, {{"primary", "x"}, {"size", 5}});
  EXPECT_DESCRIBED(wrong, 400, "The provided JSON doesn't match the required schema.");
  EXPECT_EQ(wrong.Json()["errors"].size(), 3U) << wrong.body;
  EXPECT_EQ(client().Post(Path(kUnknownDataset), {{"metadata", {}}}).status, 400);
  EXPECT_EQ(client().Send("POST", kDatasets, std::string((1 << 20) + 1, ' ')).status, 413);
  // Ignored where none is expected.
  EXPECT_EQ(client().Send("GET", kDatasets, "{").status, 200);
  EXPECT_DESCRIBED(client().Send("DELETE", Path(kUnknownDataset), "{"), 404, "Dataset not found.");
}

TEST_F(Configuration, MovesADataset) {
  const std::string id = MakeAttached("alpha", "mover");
  ASSERT_EQ(WriteFile(cluster().Path("alpha", "mover") + "/file", "content"), 0);
  const HttpAnswer moved = client().Post(Path(id), {{"primary", Node("beta")}});
  ASSERT_EQ(moved.status, 200) << moved.body;
  EXPECT_EQ(moved.Json()["primary"], Node("beta"));
  EXPECT_EQ(Entry(kDatasets, id), moved.Json());
  ASSERT_TRUE(Eventually(kSoon, [&] { return MountedOn(id, "beta"); }));
  EXPECT_EQ(ReadFile(cluster().Path("beta", "mover") + "/file").value_or(""), "content");
}

TEST_F(Configuration, MovesToWhereItIsAndMovesToNowhereChangeNothing) {
  const std::string id = MakeAttached("alpha", "stays");
  const std::string tag = Tag();
  const json dataset = Entry(kDatasets, id);
  for (const json& body : {json::object(), json({{"primary", Node("alpha")}})}) {
    const HttpAnswer answer = client().Post(Path(id), body);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.Json(), dataset);
  }
  EXPECT_EQ(Tag(), tag);
  EXPECT_DESCRIBED(client().Post(Path(kUnknownDataset), json::object()), 404, "Dataset not found.");
  EXPECT_DESCRIBED(client().Post(Path("nonsense"), json::object()), 404, "Dataset not found.");
  std::string upper = id;
  for (char& c : upper) c = static_cast<char>(toupper(c));
  if (upper != id) EXPECT_DESCRIBED(client().Post(Path(upper), json::object()), 404, "Dataset not found.");
}

TEST_F(Configuration, DeletesOnceAndAnswersAgain) {
  const std::string id = MakeAttached("alpha", "doomed");
  const HttpAnswer first = client().Delete(Path(id));
  ASSERT_EQ(first.status, 200) << first.body;
  json expected = Entry(kDatasets, id);
  EXPECT_EQ(expected["deleted"], true);
  EXPECT_EQ(first.Json(), expected);
  EXPECT_EQ(client().Delete(Path(id)).Json(), expected);
  EXPECT_DESCRIBED(client().Post(Path(id), {{"primary", Node("beta")}}), 405, "The dataset has been deleted.");
  EXPECT_TRUE(Eventually(kSoon, [&] { return Entry(kStates, id).is_null(); }));
  EXPECT_EQ(Entry(kDatasets, id), expected);
  EXPECT_DESCRIBED(client().Delete(Path(kUnknownDataset)), 404, "Dataset not found.");
}

TEST_F(Configuration, NodesAreFoundByEra) {
  const json nodes = client().Get("/v1/state/nodes").Json();
  EXPECT_THAT(nodes, ::testing::UnorderedElementsAre(json({{"uuid", Node("alpha")}, {"host", "127.0.0.1"}}),
                                                     json({{"uuid", Node("beta")}, {"host", "127.0.0.1"}})));
  std::string era = ReadFile("/proc/sys/kernel/random/boot_id").value_or("");
  while (!era.empty() && era.back() == '\n') era.pop_back();
  // Both agents run on this machine, under one kernel.
  const HttpAnswer found = client().Get("/v1/state/nodes/by_era/" + era);
  ASSERT_EQ(found.status, 200) << found.body;
  const json node = found.Json();
  EXPECT_EQ(node.size(), 1U);
  EXPECT_TRUE(node["uuid"] == Node("alpha") || node["uuid"] == Node("beta"));
  for (const char* other : {kUnknownNode, "nonsense"}) {
    EXPECT_DESCRIBED(client().Get(absl::StrCat("/v1/state/nodes/by_era/", other)), 404,
                     "No node found with given era.");
  }
}

TEST_F(Configuration, ATagThatIsNotCurrentRefusesBeforeAnythingElse) {
  const std::string id = Make("alpha", "tagged");
  const std::string tag = Tag();
  const std::string mismatch = absl::StrCat("Tag doesn't match. Required: old, current: ", tag);
  const HttpClient::Headers old = {{"X-If-Configuration-Matches", "old"}};
  const json body = {{"primary", Node("alpha")}, {"maximum_size", kMinSize}};
  EXPECT_DESCRIBED(client().Post(kDatasets, body, old), 412, mismatch);
  EXPECT_DESCRIBED(client().Send("POST", kDatasets, "{", old), 412, mismatch);
  EXPECT_DESCRIBED(client().Post(Path(id), {{"primary", Node("beta")}}, old), 412, mismatch);
  EXPECT_DESCRIBED(client().Post(Path(kUnknownDataset), json::object(), old), 412, mismatch);
  EXPECT_DESCRIBED(client().Delete(Path(id), old), 412, mismatch);
  EXPECT_DESCRIBED(client().Delete(Path(kUnknownDataset), old), 412, mismatch);
  EXPECT_EQ(Tag(), tag) << "nothing was changed";
  const HttpClient::Headers both = {{"X-If-Configuration-Matches", "old"}, {"x-if-configuration-matches", tag}};
  EXPECT_EQ(client().Post(kDatasets, body, both).status, 201) << "one of several is enough";
  EXPECT_NE(Tag(), tag);
  EXPECT_EQ(client().Post(kDatasets, body, both).status, 412);
  EXPECT_EQ(client().Delete(Path(id), {{"X-If-Configuration-Matches", Tag()}}).status, 200);
}

TEST_F(Configuration, OfTwoClientsWithOneTagOneCreates) {
  HttpClient other(client().port());
  for (int round = 0; round < 5; ++round) {
    const HttpClient::Headers tag = {{"X-If-Configuration-Matches", Tag()}};
    const std::string body = json({{"primary", Node("beta")}, {"maximum_size", kMinSize}}).dump();
    const std::string request =
        absl::StrCat("POST ", kDatasets, " HTTP/1.1\r\nHost: a\r\nX-If-Configuration-Matches: ", tag[0].second,
                     "\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
    ASSERT_TRUE(client().SendRaw(request));
    ASSERT_TRUE(other.SendRaw(request));
    const int sum = client().Receive().status + other.Receive().status;
    EXPECT_EQ(sum, 201 + 412);
  }
}

TEST_F(Configuration, ReadsNothingThatIsNotThere) {
  EXPECT_EQ(client().Get(kDatasets).headers.count("x-configuration-tag"), 1U);
  EXPECT_EQ(client().Get(kStates).headers.count("x-configuration-tag"), 0U);
}

TEST_F(Configuration, WithoutCertificatesItDoesNotStart) {
  const std::string other = cluster().dir() + "/other";
  const auto refused = RunCommand(
      {FLOCKER_BIN_DIR "/flocker-control", "--data", other, "--listen", "unix:" + other, "--pool", other,
       "--tgt-control-number", "0", "--portal", "127.0.0.1:1", "--rest", "127.0.0.1:0", "--certificates", "/nowhere"},
      kSoon);
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_NE(refused->exit_code, 0);
  EXPECT_THAT(refused->output, HasSubstr("/nowhere/cluster.crt"));
  EXPECT_FALSE(std::filesystem::exists(other)) << "before it touches anything";
}

}  // namespace
}  // namespace flocker::testing
