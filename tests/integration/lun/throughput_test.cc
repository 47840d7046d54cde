// How much of libiscsi's own speed arrives behind the file: one figure, as a ratio taken in one run.
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/integration/lun/lun_rig.h"

namespace flocker::lun::testing {
namespace {

// The number behind the last occurrence of `key` in `text`; 0 when there is none.
double NumberAfter(const std::string& text, const std::string& key) {
  const size_t at = text.rfind(key);
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + key.size(), nullptr);
}

TEST(LunThroughput, RandomReadsKeepUpWithLibiscsi) {
  LunRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.Start());
  const Login grant = rig.Grant();
  rig.Send(grant);
  ASSERT_TRUE(rig.Expect<Ready>().has_value());
  const auto fio = [&](const std::vector<std::string>& more) {
    std::vector<std::string> argv = {"fio",
                                     "--name=t",
                                     absl::StrCat("--filename=", rig.file()),
                                     "--ioengine=libaio",
                                     "--direct=1",
                                     absl::StrCat("--size=", kLunSize),
                                     "--output-format=terse"};
    argv.insert(argv.end(), more.begin(), more.end());
    const auto result = RunCommand(argv, absl::Seconds(60));
    EXPECT_TRUE(result.ok() && result->exit_code == 0) << result.status();
    return result.ok() ? result->output : "";
  };
  fio({"--rw=write", "--bs=1M", "--iodepth=8"});  // a hole would be read faster than data
  // Terse version 3: field 8 is the read IOPS.
  std::string output = fio({"--rw=randread", "--bs=4k", "--iodepth=32", "--time_based", "--runtime=3"});
  output = output.substr(output.rfind("3;fio"));
  for (int field = 0; field < 7; ++field) output = output.substr(output.find(';') + 1);
  const double ours = std::strtod(output.c_str(), nullptr);

  const auto url = absl::StrCat("iscsi://", grant.chap_user.view().data(), "%", grant.chap_secret.view().data(), "@",
                                rig.tgtd().portal(), "/", kTarget, "/1");
  const auto perf =
      RunCommand({"iscsi-perf", "-i", kInitiator, "-b", "8", "-m", "32", "-t", "3", "-r", url}, absl::Seconds(30));
  ASSERT_TRUE(perf.ok()) << perf.status();
  const double theirs = NumberAfter(perf->output, "iops average ");
  std::printf("randread 4k qd32: %.0f IOPS through the file, %.0f by iscsi-perf: %.2f\n", ours, theirs, ours / theirs);
  ASSERT_GT(theirs, 0) << perf->output;
  EXPECT_GT(ours, 0) << "the figure is for reading: a busy machine may make any ratio";
}

}  // namespace
}  // namespace flocker::lun::testing
