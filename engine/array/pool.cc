#include "engine/array/pool.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(1);
// Linux takes no single argument over 128 KiB (execve(2), MAX_ARG_STRLEN), and the record travels in one.
constexpr size_t kMaxRecord = 96 << 10;

// The dataset of "<uuid><suffix>"; nothing for a file that is not ours.
std::optional<DatasetId> IdOf(absl::string_view file, absl::string_view suffix) {
  if (!absl::ConsumeSuffix(&file, suffix)) return std::nullopt;
  const auto id = DatasetId::Parse(std::string_view(file.data(), file.size()));
  return id && id->str() == file ? id : std::nullopt;
}

}  // namespace

std::string Pool::BackingFile(const DatasetId& id) const { return absl::StrCat(directory_, "/", id.str(), ".img"); }

absl::StatusOr<std::string> Pool::Run(const std::string& what, const std::string& script) const {
  const std::string context = absl::StrCat(what, " in the pool ", directory_);
  ASSIGN_OR_RETURN(CommandResult result,
                   shell_.Run(context, absl::StrCat("cd ", ShellQuote(directory_), " && ", script), kTimeout));
  if (result.exit_code == 255 && !shell_.local()) {  // ssh(1): "255 if an error occurred"
    return absl::UnavailableError(absl::StrCat(context, ": ", absl::StripAsciiWhitespace(result.output)));
  }
  if (result.exit_code != 0) {
    return absl::InternalError(
        absl::StrCat(context, ": ", absl::StripAsciiWhitespace(result.output), " (exit code ", result.exit_code, ")"));
  }
  return std::move(result.output);
}

absl::StatusOr<PoolCapacity> Pool::Capacity() const {
  ASSIGN_OR_RETURN(const std::string output, Run("measure", "stat -f -c '%S %b %a' ."));
  const std::vector<std::string> words = absl::StrSplit(output, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  uint64_t unit = 0;
  PoolCapacity pool;
  if (words.size() != 3 || !absl::SimpleAtoi(words[0], &unit) || !absl::SimpleAtoi(words[1], &pool.total) ||
      !absl::SimpleAtoi(words[2], &pool.free)) {
    return absl::InternalError(absl::StrCat("stat -f of the pool ", directory_, " answered '", output, "'"));
  }
  pool.total *= unit;
  pool.free *= unit;
  return pool;
}

absl::StatusOr<std::optional<uint64_t>> Pool::Size(const DatasetId& id) const {
  const std::string file = absl::StrCat(id.str(), ".img");
  ASSIGN_OR_RETURN(const std::string output,
                   Run(absl::StrCat("look up ", file),
                       absl::StrCat("if [ -e ", file, " ]; then exec stat -c %s ", file, "; else echo none; fi")));
  if (output == "none\n") return std::nullopt;
  uint64_t size = 0;
  if (!absl::SimpleAtoi(output, &size)) {
    return absl::InternalError(absl::StrCat("stat of ", BackingFile(id), " answered '", output, "'"));
  }
  return size;
}

absl::Status Pool::Create(const DatasetId& id, uint64_t size) const {
  // ln refuses to replace a name: a backing file is never overwritten, and never seen with another length.
  return Run(absl::StrCat("create ", id.str(), ".img"),
             absl::StrCat("f=", id.str(), ".img && umask 077 && if [ -e $f.new ]; then rm $f.new; fi && truncate -s ",
                          size, " $f.new && sync $f.new && ln $f.new $f && rm $f.new && exec sync ."))
      .status();
}

absl::Status Pool::Grow(const DatasetId& id, uint64_t size) const {
  return Run(absl::StrCat("grow ", id.str(), ".img"),
             absl::StrCat("f=", id.str(), ".img && truncate -c -s '>", size, "' $f && sync $f"))
      .status();
}

absl::Status Pool::CreateWithRecord(const DatasetId& id, uint64_t size, const std::string& record) const {
  ASSIGN_OR_RETURN(const std::optional<uint64_t> present, Size(id));
  if (present && *present != size) {
    return absl::AlreadyExistsError(absl::StrCat("cannot create ", BackingFile(id), " with ", size,
                                                 " bytes: it exists with ", *present,
                                                 ". Something else made it; look at the record beside it"));
  }
  // The record first: a file without one would be nobody's after a crash.
  RETURN_IF_ERROR(WriteRecord(id, record));
  return present ? absl::OkStatus() : Create(id, size);
}

absl::Status Pool::GrowTo(const DatasetId& id, uint64_t size) const {
  ASSIGN_OR_RETURN(const std::optional<uint64_t> present, Size(id));
  if (!present) return absl::NotFoundError(absl::StrCat("cannot grow ", BackingFile(id), ": it does not exist"));
  if (*present > size) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot shrink ", BackingFile(id), " from ", *present, " to ", size, " bytes"));
  }
  return Grow(id, size);
}

absl::Status Pool::Remove(const DatasetId& id) const {
  // The file first: while the record is there, the remains can be told from a stranger's.
  return Run(absl::StrCat("remove ", id.str()),
             absl::StrCat("i=", id.str(), " && rm -f $i.img $i.img.new && rm -f $i.json $i.json.new && exec sync ."))
      .status();
}

absl::Status Pool::WriteRecord(const DatasetId& id, const std::string& record) const {
  if (record.size() > kMaxRecord || absl::StrContains(record, absl::string_view("\0", 1))) {
    return absl::InvalidArgumentError(absl::StrCat("the record of ", id.str(), " has ", record.size(),
                                                   " bytes; at most ", kMaxRecord, " without a NUL can be kept"));
  }
  return Run(absl::StrCat("write ", id.str(), ".json"),
             absl::StrCat("f=", id.str(), ".json && umask 077 && printf %s ", ShellQuote(record),
                          " >$f.new && sync $f.new && mv -f $f.new $f && exec sync ."))
      .status();
}

absl::StatusOr<std::map<DatasetId, PoolEntry>> Pool::List() const {
  // Files come and go meanwhile. Records in base64: one line each, whatever they hold. "end" proves that all arrived.
  ASSIGN_OR_RETURN(const std::string output,
                   Run("list",
                       "find . -maxdepth 1 -name '*.img' -printf 'img %f %s %b\\n' && for f in *.json; do "
                       "if c=$(base64 -w0 \"$f\" 2>&1); then echo \"json $f $c\"; "
                       "elif [ -e \"$f\" ]; then echo \"$c\"; exit 1; fi; done; echo end"));
  std::map<DatasetId, PoolEntry> entries;
  std::vector<absl::string_view> lines = absl::StrSplit(output, '\n', absl::SkipEmpty());
  if (lines.empty() || lines.back() != "end") {
    return absl::UnavailableError(absl::StrCat("the listing of the pool ", directory_, " was cut short"));
  }
  for (const absl::string_view line : lines) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words.size() < 3) continue;
    if (const auto backing = IdOf(words[1], ".img"); backing && words[0] == "img") {
      uint64_t size = 0;
      uint64_t blocks = 0;  // of 512 bytes, whatever the filesystem's are (find(1), %b)
      if (words.size() != 4 || !absl::SimpleAtoi(words[2], &size) || !absl::SimpleAtoi(words[3], &blocks)) {
        return absl::InternalError(absl::StrCat("the listing of the pool ", directory_, " garbled ", words[1]));
      }
      entries[*backing].size = size;
      entries[*backing].used = blocks * 512;
    } else if (const auto record = IdOf(words[1], ".json"); record && words[0] == "json") {
      if (!absl::Base64Unescape(words[2], &entries[*record].record)) {
        return absl::InternalError(absl::StrCat("the listing of the pool ", directory_, " garbled ", words[1]));
      }
    }
  }
  return entries;
}

}  // namespace flocker
