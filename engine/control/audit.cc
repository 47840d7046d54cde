#include "engine/control/audit.h"

#include "absl/strings/str_cat.h"

namespace flocker {

std::string Audit(const rpc::Caller& caller) {
  return absl::StrCat("by uid ", caller.uid(), " pid ", caller.pid(),
                      caller.container().empty() ? "" : absl::StrCat(" in container ", caller.container()), " through ",
                      caller.via().empty() ? "an unnamed client" : caller.via());
}

}  // namespace flocker
