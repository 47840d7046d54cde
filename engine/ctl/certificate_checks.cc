#include "engine/ctl/certificate_checks.h"

#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/rpc/openssl.h"

namespace flocker {
namespace {

constexpr absl::Duration kSoon = absl::Hours(30 * 24);

absl::StatusOr<X509Ptr> Load(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return CertificateFromPem(text, path);
}

absl::Time TimeOf(const ASN1_TIME* time) {
  struct tm parts {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string CommonName(X509* certificate) {
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
  return name;
}

Check CheckCertificate(const std::string& path, X509* certificate, X509* authority, absl::Time now) {
  const std::string subject = absl::StrCat("certificate ", std::filesystem::path(path).filename().string());
  const absl::Time from = TimeOf(X509_get0_notBefore(certificate));
  const absl::Time to = TimeOf(X509_get0_notAfter(certificate));
  const std::string until = absl::FormatTime("%Y-%m-%d", to, absl::UTCTimeZone());
  if (now < from) {
    return {subject, Verdict::kBad, "it is not valid yet", "set the clock, or have a new one made by flockerctl ca"};
  }
  if (now > to)
    return {subject, Verdict::kBad, absl::StrCat("expired ", until),
            "have a new one made by flockerctl ca … --replace"};
  if (authority != nullptr && X509_verify(certificate, X509_get0_pubkey(authority)) != 1) {
    return {subject, Verdict::kBad, "it is not signed by the cluster of cluster.crt",
            "bring both from the machine that has the cluster's key"};
  }
  const std::string found = absl::StrCat(CommonName(certificate), ", valid to ", until);
  if (to - now < kSoon) return {subject, Verdict::kWarning, found, "have a new one made soon"};
  return {subject, Verdict::kGood, found, ""};
}

Check CheckKey(const std::string& path) {
  const std::string subject = absl::StrCat("key ", std::filesystem::path(path).filename().string());
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return {subject, Verdict::kBad, strerror(errno), absl::StrCat("see ls -l ", path)};
  }
  if ((status.st_mode & 077) != 0) {
    return {subject, Verdict::kBad, absl::StrFormat("mode %04o lets others read it", status.st_mode & 07777),
            absl::StrCat("chmod 600 ", path)};
  }
  return {subject, Verdict::kGood, "secret", ""};
}

}  // namespace

std::vector<Check> CheckCertificates(const std::string& directory, absl::Time now) {
  std::set<std::string> certificates;
  std::set<std::string> keys;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".crt") certificates.insert(entry.path().string());
    if (entry.path().extension() == ".key") keys.insert(entry.path().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return {{"certificates", Verdict::kBad, absl::StrCat(directory, ": ", error.message()),
             "run flockerctl doctor as root"}};
  }
  if (certificates.empty() && keys.empty()) {
    return {{"certificates", Verdict::kBad, absl::StrCat("none in ", directory), "flockerctl ca makes them"}};
  }
  std::vector<Check> checks;
  X509Ptr authority;
  if (auto loaded = Load(absl::StrCat(directory, "/cluster.crt")); loaded.ok()) {
    authority = *std::move(loaded);
  } else {
    checks.push_back({"certificate cluster.crt", Verdict::kBad, std::string(loaded.status().message()),
                      "copy it from the machine where the cluster's certificates are made"});
  }
  for (const std::string& path : certificates) {
    const auto certificate = Load(path);
    if (certificate.ok()) {
      checks.push_back(CheckCertificate(path, certificate->get(), authority.get(), now));
    } else if (authority != nullptr) {
      checks.push_back(
          {"certificate", Verdict::kBad, std::string(certificate.status().message()), "have a new one made"});
    }
  }
  for (const std::string& path : keys) checks.push_back(CheckKey(path));
  return checks;
}

}  // namespace flocker
