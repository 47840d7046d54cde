// flocker_bench: Flocker beside its peers, in one run (tests/bench/README.md). scripts/bench builds and runs it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "tests/bench/report.h"
#include "tests/bench/sections.h"

namespace flocker::bench {
namespace {

struct NamedSection {
  const char* name;
  absl::StatusOr<Section> (*run)(const Settings&);
};
constexpr NamedSection kSections[] = {{"block", &RunBlock},
                                      {"filesystem", &RunFilesystem},
                                      {"operations", &RunOperations},
                                      {"tree", &RunTree},
                                      {"control", &RunControlPlane}};

bool Write(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::trunc);
  file << content << std::flush;
  if (!file) std::fprintf(stderr, "bench: cannot write %s\n", path.c_str());
  return bool(file);
}

int Main(int argc, char** argv) {
  Settings settings{.flocker_lun = FLOCKER_BIN_DIR "/flocker-lun"};
  bool quick = false;
  bool smoke = false;
  std::vector<std::string> only;
  std::string json;
  std::string plots;
  CLI::App app("Flocker beside its peers, in one run. No figure without its ratio.", "scripts/bench");
  app.add_flag("--quick", quick, "under 5 minutes");
  app.add_flag("--smoke", smoke, "under a minute: only whether the bench works");
  app.add_option("--only", only, "sections: block, filesystem, operations, tree, control");
  app.add_option("--workload", settings.workload, "only the workloads whose name contains this");
  app.add_option("--rounds", settings.rounds, "of each workload (5)")->check(CLI::PositiveNumber);
  app.add_option_function<double>(
      "--seconds", [&](double seconds) { settings.run = absl::Seconds(seconds); }, "a measurement takes (3)");
  app.add_option("--json", json, "file for all figures");
  app.add_option("--plots", plots, "directory for an SVG file of each section");
  app.add_option("--flocker-lun", settings.flocker_lun, "the binary to be measured")->check(CLI::ExistingFile);
  app.add_option("--against", settings.against, "another flocker-lun, measured beside it")->check(CLI::ExistingFile);
  CLI11_PARSE(app, argc, argv);
  if (quick || smoke) {
    settings.rounds = quick ? 3 : 1;
    settings.magnitudes = quick ? 2 : 1;
    settings.run = absl::Milliseconds(quick ? 500 : 100);
    settings.file_bytes = uint64_t{quick ? 512u : 32u} << 20;
  }

  std::vector<Section> sections;
  settings.measured = [](const Workload& workload) { std::cout << RowsOf(workload) << std::flush; };
  for (const NamedSection& section : kSections) {
    if (!only.empty() && std::find(only.begin(), only.end(), section.name) == only.end()) continue;
    auto measured = section.run(settings);
    if (!measured.ok()) {
      std::cerr << "bench: " << section.name << ": " << measured.status() << "\n";
      return EXIT_FAILURE;
    }
    std::cout << PeersOf(*measured) << std::flush;
    sections.push_back(*std::move(measured));
  }
  if (sections.empty()) {
    std::cerr << "bench: there is no such section\n";
    return EXIT_FAILURE;
  }
  bool written = true;
  if (!json.empty()) written = Write(json, JsonOf(sections)) && written;
  if (!plots.empty()) {
    std::error_code error;
    std::filesystem::create_directories(plots, error);
    for (const Section& section : sections) {
      written = Write(absl::StrCat(plots, "/", section.name, ".svg"), PlotOf(section)) && written;
    }
  }
  return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace flocker::bench

int main(int argc, char** argv) { return flocker::bench::Main(argc, argv); }
