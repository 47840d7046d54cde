#include "engine/ctl/redaction.h"

#include <gtest/gtest.h>

namespace flocker {
namespace {

TEST(Redacted, TakesOutWhatKeysCallSecret) {
  EXPECT_EQ(Redacted("secret_access_key: AKIA/+x=\n"), "secret_access_key: <redacted>\n");
  EXPECT_EQ(Redacted("  \"password\" : \"a b\", \"user\": \"x\""), "  \"password\" : <redacted>, \"user\": \"x\"");
  EXPECT_EQ(Redacted("node.session.auth.chap.secret=0123456789ab"), "node.session.auth.chap.secret=<redacted>");
  EXPECT_EQ(Redacted("OS_PASSWORD='x y' TOKEN=abc"), "OS_PASSWORD=<redacted> TOKEN=<redacted>");
}

TEST(Redacted, TakesOutPrivateKeysAndLoginsInUrls) {
  EXPECT_EQ(Redacted("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb\n"),
            "a\n<a private key was here>\nb\n");
  EXPECT_EQ(Redacted("-----BEGIN PRIVATE KEY-----\nMIIE\ncut off"), "<a private key was here>\n");
  EXPECT_EQ(Redacted("auth_url: https://me:pw@host/v3"), "auth_url: https://<redacted>@host/v3");
}

TEST(Redacted, TakesOutTheLinesBelowASecretKeyOfYaml) {
  EXPECT_EQ(Redacted("  credentials: |\n    abc\n\n    def\n  region: x\n"),
            "  credentials: <redacted>\n  region: x\n");
  EXPECT_EQ(Redacted("tokens:\n  - abc\nregion: x\n"), "tokens:\nregion: x\n");
}

TEST(Redacted, LeavesTheRest) {
  const std::string text = "version: 1\ncontrol-service: {hostname: array, port: 4524}\n\nno newline at the end";
  EXPECT_EQ(Redacted(text), text);
  EXPECT_EQ(Redacted(""), "");
}

}  // namespace
}  // namespace flocker
