// What a user typed, found in the cluster: nodes and datasets by name or by a prefix of their id, `k=v,…` lists.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

// An exact name wins over a prefix of an id. kNotFound for none, kInvalid for a prefix that fits several.
absl::StatusOr<rpc::NodeView> SelectNode(const rpc::ViewReply& view, std::string_view text);

// The same; datasets in the trash do not count.
absl::StatusOr<rpc::DatasetView> SelectDataset(const rpc::ViewReply& view, std::string_view text);

// One in the trash, where several may have one name: kInvalid then, too.
absl::StatusOr<rpc::DatasetView> SelectTrashed(const rpc::ViewReply& view, std::string_view text);

// "name=db,team=a" (Flocker's form). kInvalid for a part without exactly one '=' or a key given twice.
absl::StatusOr<std::map<std::string, std::string>> ParseMetadata(std::string_view text);

}  // namespace flocker
