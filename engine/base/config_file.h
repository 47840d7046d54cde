// A daemon's settings in a YAML file: each key is the long name of an option of its command line, which comes first.
#pragma once

#include <yaml-cpp/node/node.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace flocker {

// What a key that is not an option's name says, as options. Throws Wrong.
using ConfigSection = std::function<std::vector<CLI::ConfigItem>(const YAML::Node& value)>;

// A fault of the file, with the line where `node` is.
CLI::ConfigError Wrong(const YAML::Node& node, const std::string& what);

// `key: value` or `key: [value, …]` as the option --key.
CLI::ConfigItem Setting(const std::string& key, const YAML::Node& value);

// Gives `app` the option -c,--config, for a file that must say `version: 1`. A key that is neither an option nor in
// `sections`, one that comes twice, or a file that is not YAML is an error that names the line. `default_path` is read
// when it is there and no -c is given; empty: there is none. Blocks for the file when `app` parses.
void UseConfigFile(CLI::App& app, const std::string& default_path, std::map<std::string, ConfigSection> sections = {});

}  // namespace flocker
