// What --json prints: Flocker v1's names where v1 has one (dataset_id, primary, maximum_size, metadata, deleted), sizes
// in bytes, times as Unix milliseconds. Keys are added, never renamed or removed: scripts depend on them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/ctl/check.h"
#include "engine/ctl/listing.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

std::string DatasetJson(const rpc::DatasetView& dataset);  // on one line
std::string GoneJson(const std::string& dataset_id);       // of one whose record is no more
// Arrays: what the tables of `listing` show, by the same options.
std::string DatasetsJson(const rpc::ViewReply& view, const ListingOptions& options);
std::string NodesJson(const rpc::ViewReply& view);
std::string LeasesJson(const rpc::ViewReply& view);
std::string LeaseJson(const rpc::LeaseView& lease);  // on one line
// One line an event, so that a stream of them can be read.
std::string EventJson(const rpc::EventView& event);
std::string ChecksJson(const std::vector<Check>& checks);
std::string VersionsJson(const std::string& ours, const std::string& controls);
std::string BackupJson(const rpc::BackupReply& reply, const std::string& directory);
std::string BundleJson(const std::string& path);
std::string CertificateJson(const std::string& certificate, const std::string& key);
// {"error": {"cause": "busy", "exit_code": 5, "message": "…"}}
std::string ErrorJson(const absl::Status& status);

}  // namespace flocker
