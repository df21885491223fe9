// TLS for the hosts of --tls-inject: a certificate of the sandbox's own authority to the client, the system's trust to the host.
#pragma once

#include <openssl/ssl.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun::gateway {

struct TlsFiles {
  std::string authority_certificate;  // PEM
  std::string authority_key;          // PEM
  std::string trust;                  // PEM, all roots
};

class TlsKit {
 public:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  using Session = std::unique_ptr<SSL, Free>;

  // A certificate for each name ("*.example.com" too). Everything is made here: later no file is read.
  static Result<TlsKit> make(const TlsFiles& files, const std::vector<std::string>& names);

  // Both on a socket that does not block; the handshake is part of the first reads and writes. Null where memory is short.
  [[nodiscard]] Session towards_client(std::string_view certificate_name, int socket) const;
  [[nodiscard]] Session towards_host(const std::string& host, int socket) const;

 private:
  using Context = std::unique_ptr<SSL_CTX, Free>;
  std::map<std::string, Context, std::less<>> for_clients_;
  Context for_hosts_;
};

}  // namespace clawrun::gateway
