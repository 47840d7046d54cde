// Flocker's REST API v1: which request means what, and its answers word for word (flocker-v1.md §1). Reads are answered
// from what is published, changes are put to the control service.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "engine/http/http_server.h"
#include "engine/model/lease.h"
#include "engine/rest/published.h"
#include "engine/rest/requests.h"

namespace flocker {

// What came of a change.
struct V1Result {
  enum class Kind {
    kDone,
    kCreated,      // of a lease: it was not there before
    kTagMismatch,  // `text`: the tag of what is configured now
    kIdInUse,
    kNotFound,
    kDeleted,
    kLeaseHeld,
    kRefused,  // for a reason that v1 did not have; `text` says which
  };
  Kind kind = Kind::kDone;
  std::string text;            // of kDone and kCreated for a dataset: its configuration as JSON
  std::optional<Lease> lease;  // of kDone for a release
  std::optional<absl::Duration> left;
};

// What a change must find: the configuration has one of these tags. Without any it may have whichever it has.
using Tags = std::vector<std::string>;

// Changes, as the control service makes them. Each calls `done` once, on any thread, when what it says is on disk and
// published. Tags are checked before anything else.
class V1Control {
 public:
  using Done = std::function<void(const V1Result&)>;

  virtual ~V1Control() = default;
  virtual void CheckTags(const Tags& tags, Done done) = 0;
  virtual void Create(const Tags& tags, const CreateBody& body, Done done) = 0;
  // `id` as the client wrote it.
  virtual void Move(const Tags& tags, const std::string& id, const MoveBody& body, Done done) = 0;
  virtual void Delete(const Tags& tags, const std::string& id, Done done) = 0;
  virtual void AcquireLease(const LeaseBody& body, Done done) = 0;
  virtual void ReleaseLease(const DatasetId& id, Done done) = 0;
};

class V1Api {
 public:
  using Answer = HttpServer::Answer;

  // `clock`: that of DatasetFacts::lease_end.
  V1Api(PublishedState& state, V1Control& control, std::function<absl::Duration()> clock)
      : state_(state), control_(control), clock_(std::move(clock)) {}

  // Any thread; never blocks.
  void Handle(const HttpRequest& request, const Answer& answer);

  // The answer to what is no HTTP request, or too large a one.
  static HttpReply Refusal(unsigned status);

 private:
  // The part of a path that names one thing; empty for none.
  using Method = void (V1Api::*)(const HttpRequest& request, const std::string& name, const Answer& answer);
  struct Route {
    std::string_view method;
    std::string_view path;  // ends in '/' when a name follows
    Method handle;
  };
  static const std::vector<Route>& Routes();

  void Version(const HttpRequest&, const std::string&, const Answer& answer);
  void ListConfiguration(const HttpRequest&, const std::string&, const Answer& answer);
  void Create(const HttpRequest& request, const std::string&, const Answer& answer);
  void Move(const HttpRequest& request, const std::string& id, const Answer& answer);
  void Delete(const HttpRequest& request, const std::string& id, const Answer& answer);
  void ListStates(const HttpRequest&, const std::string&, const Answer& answer);
  void ListNodes(const HttpRequest&, const std::string&, const Answer& answer);
  void NodeByEra(const HttpRequest&, const std::string& era, const Answer& answer);
  void ListLeases(const HttpRequest&, const std::string&, const Answer& answer);
  void AcquireLease(const HttpRequest& request, const std::string&, const Answer& answer);
  void ReleaseLease(const HttpRequest&, const std::string& id, const Answer& answer);

  PublishedState& state_;
  V1Control& control_;
  const std::function<absl::Duration()> clock_;
};

}  // namespace flocker
