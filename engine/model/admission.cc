#include "engine/model/admission.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/size.h"

namespace flocker {

absl::Status Admit(uint64_t promised, uint64_t request, const PoolCapacity& pool, double overcommit,
                   double pool_reserve) {
  const double total = static_cast<double>(pool.total);
  if (static_cast<double>(promised) + static_cast<double>(request) > overcommit * total) {
    return Refuse(Cause::kNoSpace,
                  absl::StrCat("another ", FormatSize(request), " is not admitted: ", FormatSize(promised),
                               " are promised already, and a pool of ", FormatSize(pool.total), " may promise ",
                               overcommit, " times its size. Destroy and purge datasets, or raise 'overcommit'"));
  }
  if (static_cast<double>(pool.free) < pool_reserve * total) {
    return Refuse(Cause::kNoSpace, absl::StrCat("another ", FormatSize(request), " is not admitted: of the pool's ",
                                                FormatSize(pool.total), " only ", FormatSize(pool.free),
                                                " are free, under the reserve of ", 100 * pool_reserve,
                                                " %. Purge trashed datasets or enlarge the pool"));
  }
  return absl::OkStatus();
}

}  // namespace flocker
