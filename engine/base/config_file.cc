#include "engine/base/config_file.h"

#include <yaml-cpp/yaml.h>

#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

class ConfigFile : public CLI::Config {
 public:
  ConfigFile(const CLI::App& app, std::map<std::string, ConfigSection> sections)
      : app_(app), sections_(std::move(sections)) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    try {
      return Read(YAML::Load(input));
    } catch (const YAML::Exception& error) {
      throw CLI::ConfigError(absl::StrCat(Path(), " line ", error.mark.line + 1, ": ", error.msg));
    } catch (const CLI::ConfigError& error) {
      throw CLI::ConfigError(absl::StrCat(Path(), " ", error.what()));
    }
  }

  // Only --help of an application that can write its settings asks for it; ours cannot.
  std::string to_config(const CLI::App* /*app*/, bool /*default_also*/, bool /*write_description*/,
                        std::string /*prefix*/) const override {
    return "";
  }

 private:
  std::string Path() const { return app_.get_config_ptr()->as<std::string>(); }

  std::vector<CLI::ConfigItem> Read(const YAML::Node& root) const {
    if (!root.IsMap()) throw Wrong(root, "it has no keys; the first is to be `version: 1`");
    std::vector<CLI::ConfigItem> settings;
    std::set<std::string> seen;
    for (const auto& entry : root) {
      const YAML::Node& key_node = entry.first;
      const YAML::Node& value = entry.second;
      const auto key = key_node.as<std::string>();
      if (!seen.insert(key).second) throw Wrong(key_node, absl::StrCat("`", key, "` is here for the second time"));
      if (key == "version") {
        if (!value.IsScalar() || value.Scalar() != "1") throw Wrong(value, "this program reads `version: 1` alone");
      } else if (const auto section = sections_.find(key); section != sections_.end()) {
        for (CLI::ConfigItem& item : section->second(value)) settings.push_back(std::move(item));
      } else if (key != "help" && key != "config" && app_.get_option_no_throw("--" + key) != nullptr) {
        settings.push_back(Setting(key, value));
      } else {
        throw Wrong(key_node, absl::StrCat("there is no setting `", key, "`; --help lists them"));
      }
    }
    if (!seen.contains("version")) throw Wrong(root, "`version: 1` is missing");
    return settings;
  }

  const CLI::App& app_;
  const std::map<std::string, ConfigSection> sections_;
};

}  // namespace

CLI::ConfigError Wrong(const YAML::Node& node, const std::string& what) {
  return CLI::ConfigError(absl::StrCat("line ", node.Mark().line + 1, ": ", what));
}

CLI::ConfigItem Setting(const std::string& key, const YAML::Node& value) {
  CLI::ConfigItem item;
  item.name = key;
  if (value.IsScalar()) {
    item.inputs.push_back(value.Scalar());
  } else if (value.IsSequence()) {
    for (const YAML::Node& element : value) {
      if (!element.IsScalar()) throw Wrong(element, absl::StrCat("`", key, "` takes plain values"));
      item.inputs.push_back(element.Scalar());
    }
  }
  if (item.inputs.empty()) throw Wrong(value, absl::StrCat("`", key, "` has no value"));
  return item;
}

void UseConfigFile(CLI::App& app, const std::string& default_path, std::map<std::string, ConfigSection> sections) {
  app.set_config("-c,--config", default_path, "YAML file with these settings, by their long names");
  app.config_formatter(std::make_shared<ConfigFile>(app, std::move(sections)));
}

}  // namespace flocker
