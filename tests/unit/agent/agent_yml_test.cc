#include "engine/agent/agent_yml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Settings {
  std::string control = "not set";
  std::string tree = "/flocker";
  std::string backend;
  std::vector<std::string> listen;
  double interval = 60;
  bool create_on_bind = true;
};

// What a program with a few of the agent's options makes of `yaml`, with `more` on its command line; the error's text.
std::string Parse(const std::string& yaml, Settings& settings, const std::vector<std::string>& more = {}) {
  const testing::ScratchDir scratch;
  const std::string path = scratch / "agent.yml";
  std::ofstream(path) << yaml;
  CLI::App app;
  app.add_option("--control", settings.control)->required();
  app.add_option("--tree", settings.tree);
  app.add_option("--listen", settings.listen);
  app.add_option("--backend", settings.backend);
  app.add_flag("--create-on-bind,!--no-create-on-bind", settings.create_on_bind);
  app.add_option("--reconcile-interval", settings.interval)->check(CLI::PositiveNumber);
  UseConfigFile(app, path, AgentYmlSections());
  std::vector<std::string> arguments(more.rbegin(), more.rend());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(AgentYml, FlockersOwnFileIsRead) {
  Settings settings;
  EXPECT_EQ(Parse("version: 1\n"
                  "control-service:\n"
                  "   hostname: control.example.com\n"
                  "dataset: {backend: iscsi}\n"
                  "logging: {version: 1, root: {level: DEBUG}}\n",
                  settings),
            "");
  EXPECT_EQ(settings.control, "control.example.com:4524");
  EXPECT_EQ(settings.backend, "iscsi");
}

TEST(AgentYml, LoopbackIsABackendWhosePlaceControlKnows) {
  Settings settings;
  EXPECT_EQ(Parse("version: 1\ncontrol: here:1\ndataset: {backend: loopback}\n", settings), "");
  EXPECT_EQ(settings.backend, "loopback");
  EXPECT_THAT(
      Parse("version: 1\ncontrol: here:1\ndataset:\n  backend: loopback\n  root_path: /var/lib/flocker/loopback\n",
            settings),
      HasSubstr("line 5: where the files of `backend: loopback` lie is flocker-control's setting, `pool`"));
}

TEST(AgentYml, OurKeysAreTheOptionsNamesAndTheCommandLineComesFirst) {
  Settings settings;
  EXPECT_EQ(Parse("version: 1\ncontrol-service: {hostname: '::1', port: 99}\ntree: /data\nlisten: [a, b]\n"
                  "reconcile-interval: 2.5\ncreate_on_bind: false\n",
                  settings, {"--tree", "/other"}),
            "");
  EXPECT_EQ(settings.control, "[::1]:99");
  EXPECT_EQ(settings.tree, "/other");
  EXPECT_EQ(settings.interval, 2.5);
  EXPECT_FALSE(settings.create_on_bind);
  EXPECT_THAT(settings.listen, ElementsAre("a", "b"));
}

TEST(AgentYml, WhatIsWrongIsSaidWithItsLine) {
  const std::string start = "version: 1\ncontrol: here:1\n";
  const auto error = [](const std::string& yaml) {
    Settings settings;
    return Parse(yaml, settings);
  };
  EXPECT_EQ(error(start), "");
  EXPECT_THAT(error(start + "tre: /data\n"), HasSubstr("agent.yml line 3: there is no setting `tre`"));
  EXPECT_THAT(error(start + "tree: /a\ntree: /b\n"), HasSubstr("line 4: `tree` is here for the second time"));
  EXPECT_THAT(error(start + "tree:\n"), HasSubstr("`tree` has no value"));
  EXPECT_THAT(error(start + "tree: {a: b}\n"), HasSubstr("line 3: `tree` has no value"));
  EXPECT_THAT(error(start + "help: true\n"), HasSubstr("line 3: there is no setting `help`"));
  EXPECT_THAT(error(start + "reconcile-interval: -1\n"), HasSubstr("reconcile-interval"));
  EXPECT_THAT(error("control: here:1\n"), HasSubstr("`version: 1` is missing"));
  EXPECT_THAT(error("version: 2\ncontrol: here:1\n"), HasSubstr("line 1: this program reads `version: 1` alone"));
  EXPECT_THAT(error("version: 1\n"), HasSubstr("--control"));
  EXPECT_THAT(error(""), HasSubstr("it has no keys"));
  EXPECT_THAT(error("version: 1\ncontrol: [unclosed\n"), HasSubstr("agent.yml line"));
  EXPECT_THAT(error(start + "dataset: {backend: aws, region: x}\n"), HasSubstr("line 3: there is no backend `aws`"));
  EXPECT_THAT(error(start + "dataset: {backend: iscsi, region: x}\n"), HasSubstr("no setting `region` in `dataset`"));
  EXPECT_THAT(error(start + "dataset: {}\n"), HasSubstr("`dataset` needs a `backend`"));
  EXPECT_THAT(error("version: 1\ncontrol-service: {port: 1}\n"), HasSubstr("line 2: `control-service` needs"));
  EXPECT_THAT(error("version: 1\ncontrol-service: {hostname: a, port: 70000}\n"), HasSubstr("1 to 65535"));
}

TEST(OwnAddress, IsThatOfTheWayToControl) {
  EXPECT_EQ(OwnAddressTowards("unix:/run/control.sock"), std::nullopt);
  EXPECT_EQ(OwnAddressTowards("127.0.0.5:4524"), "127.0.0.1");
  EXPECT_EQ(OwnAddressTowards("[::1]:4524"), "::1");
  EXPECT_EQ(OwnAddressTowards("no such host:4524"), std::nullopt);
}

}  // namespace
}  // namespace flocker
