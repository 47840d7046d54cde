#include "tests/lab/cluster/records.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/harness/wait.h"

namespace flocker::lab {
namespace {

constexpr char kWriter[] = R"(
import binascii, os, sys
path, who, state = sys.argv[1:]
acknowledged = os.open(state, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
try:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    number = 0
    while True:
        number += 1
        body = b"%s %d" % (who.encode(), number)
        record = b"%s %08x\n" % (body, binascii.crc32(body))
        if os.write(file, record) != len(record):
            raise OSError("short write")
        os.fsync(file)
        os.pwrite(acknowledged, b"%09d\n" % number, 0)
except OSError as error:
    with open(state + ".error", "w") as report:
        report.write(str(error))
)";

constexpr char kReader[] = R"(
import binascii, sys
runs = []
with open(sys.argv[1], "rb") as file:
    for line in file:
        if not line.endswith(b"\n"):
            break
        body, _, checksum = line[:-1].rpartition(b" ")
        if b"%08x" % binascii.crc32(body) != checksum:
            sys.exit("damaged after %s: %r" % (runs, line[:80]))
        who, number = body.decode().split()
        if not runs or runs[-1][0] != who:
            runs.append([who, 0])
        runs[-1][1] += 1
        if runs[-1][1] != int(number):
            sys.exit("after %s comes %r" % (runs, line))
for who, number in runs:
    print(who, number)
)";

}  // namespace

RecordWriter::RecordWriter(Machine& machine, std::string who, std::string file)
    : RecordWriter(machine, std::move(who), std::move(file), "") {}

RecordWriter::RecordWriter(Machine& machine, std::string who, std::string file, std::string volume)
    : machine_(machine), who_(std::move(who)), file_(std::move(file)), volume_(std::move(volume)) {}

::testing::AssertionResult RecordWriter::Start() {
  const auto made = machine_.guest().Run(absl::StrCat("mkdir -p /run/writers; rm -f ", State("*")));
  if (!made.ok()) return ::testing::AssertionFailure() << made.status();
  const absl::Status pushed = machine_.guest().Push(State(".py"), kWriter);
  if (!pushed.ok()) return ::testing::AssertionFailure() << pushed;
  const std::string container =
      volume_.empty() ? ""
                      : absl::StrCat("docker run --name ", who_, " --network none -v /run/writers:/run/writers -v ",
                                     volume_, ":/data box ");
  const auto started =
      machine_.guest().Run(absl::StrCat("setsid ", container, "python3 ", State(".py"), " ", file_, " ", who_, " ",
                                        State(""), " </dev/null >", State(".log"), " 2>&1 & echo $! >", State(".pid")));
  if (!started.ok()) return ::testing::AssertionFailure() << started.status();
  return WaitFor(1, absl::Minutes(2));
}

std::string RecordWriter::Read(const std::string& path) {
  const auto read = machine_.guest().Run(absl::StrCat("cat ", path, " 2>/dev/null"), absl::Seconds(10));
  return read.ok() ? read->output : "";
}

int RecordWriter::Acknowledged() {
  int number = 0;
  return absl::SimpleAtoi(absl::StripAsciiWhitespace(Read(State(""))), &number) ? number : 0;
}

::testing::AssertionResult RecordWriter::WaitFor(int record, absl::Duration timeout) {
  if (flocker::testing::Eventually(timeout, [&] { return Acknowledged() >= record; })) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << who_ << " on " << machine_.name() << " did not write record " << record
                                       << " within " << timeout << ": " << Acknowledged() << " " << Error() << " "
                                       << Read(State(".log"));
}

std::string RecordWriter::Error() { return Read(State(".error")); }

void RecordWriter::End() {
  if (!volume_.empty()) {
    const auto removed = machine_.guest().Run("docker rm --force " + who_);
    EXPECT_TRUE(removed.ok() && removed->exit_code == 0) << (removed.ok() ? removed->output : "the machine is away");
    return;
  }
  const auto ended = machine_.guest().Run(absl::StrCat("kill -9 $(cat ", State(".pid"), "); while kill -0 $(cat ",
                                                       State(".pid"), ") 2>/dev/null; do :; done"));
  EXPECT_TRUE(ended.ok()) << ended.status();
}

Records ReadRecords(Machine& machine, const std::string& file) {
  Records runs;
  const absl::Status pushed = machine.guest().Push("/run/reader.py", kReader);
  const auto read = machine.guest().Run("python3 /run/reader.py " + file, absl::Minutes(2));
  if (!pushed.ok() || !read.ok() || read->exit_code != 0) {
    ADD_FAILURE() << file << " on " << machine.name() << ": " << (read.ok() ? read->output : read.status().ToString());
    return runs;
  }
  for (const absl::string_view line : absl::StrSplit(read->output, '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> words = absl::StrSplit(line, ' ');
    int number = 0;
    EXPECT_TRUE(absl::SimpleAtoi(words.second, &number)) << line;
    runs.emplace_back(words.first, number);
  }
  return runs;
}

}  // namespace flocker::lab
