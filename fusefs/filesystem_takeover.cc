// Going on where a predecessor on the same mount was when it died (TAKEOVER.md).
#include <spdlog/spdlog.h>

#include <map>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "fusefs/filesystem.h"

namespace flocker {
namespace {

// An agent that is restarted publishes its catalogue anew within moments; without one every name would be unknown.
constexpr absl::Duration kCatalogPatience = absl::Seconds(5);
constexpr absl::Duration kAgentPatience = absl::Seconds(5);

}  // namespace

void Filesystem::TakeUp() {
  rpc::TreeWelcome welcome;
  const std::string_view saved_welcome = state_.welcome();
  if (!saved_welcome.empty() && welcome.ParseFromArray(saved_welcome.data(), static_cast<int>(saved_welcome.size()))) {
    view_.Adopt(welcome);
    for (const absl::Time end = SteadyNow() + kCatalogPatience; !view_.Told() && SteadyNow() < end;) {
      absl::SleepFor(absl::Milliseconds(20));
      view_.Refresh();
    }
  }
  for (const OpenFiles::Left& left : files_.AllLeft()) {
    // Opened, but the kernel was not told: the request is executed again, and opens it once more.
    if (in_flight_.Unanswered(left.request)) files_.LetGo(left.handle);
  }
  OpenAgain();
  datasets_.InheritGates();
  deadlines_.After(kAgentPatience, [this] { Heard(); });
  spdlog::info("taking over: {} inodes, {} open files; {} handles are of no attachment that is here", inodes_.size(),
               files_.size(), files_.AllLeft().size());
}

void Filesystem::OpenAgain() {
  // By dataset. Nothing may be deleted or replaced in one before these are open again.
  std::map<DatasetId, std::vector<std::shared_ptr<OpenFile>>> open;
  for (const OpenFiles::Left& left : files_.AllLeft()) {
    const auto dataset = view_.Find(left.dataset);
    if (!dataset || dataset->serial != left.serial) continue;
    auto use = datasets_.TryEnter(*dataset);
    if (!use || (*use)->serial() != left.serial) continue;
    auto file = files_.TakeUp(left.handle, *std::move(use));
    if (file != nullptr) open[left.dataset].push_back(std::move(file));
  }
  for (auto& [dataset, files] : open) {
    datasets_.Hold(dataset);
    WorkerPool& workers = files.front()->use->workers();
    workers.Submit([files = std::move(files),
                    let_in = absl::MakeCleanup([this, id = dataset] { datasets_.LetIn(id); })]() mutable {
      for (std::shared_ptr<OpenFile>& file : files) {
        static_cast<void>(file->Ready());  // who uses it hears why it is not
        file.reset();
      }
    });
  }
}

void Filesystem::WhenHeard(Request request, Change change) {
  {
    MutexLock lock(mutex_);
    if (!heard_) {
      waiting_.push_back(Waiting{std::move(request), std::move(change)});
      return;
    }
  }
  change(std::move(request));
}

void Filesystem::Heard() {
  std::vector<Waiting> waiting;
  {
    MutexLock lock(mutex_);
    heard_ = true;
    waiting.swap(waiting_);
  }
  for (Waiting& one : waiting) one.change(std::move(one.request));
}

}  // namespace flocker
