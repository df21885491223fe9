#include "gateway/tls_stream.h"

#include <openssl/err.h>

namespace clawrun::gateway {

namespace {

class TlsStream final : public Stream {
 public:
  explicit TlsStream(TlsKit::Session session) : session_(std::move(session)) {}

  Moved read(char* to, std::size_t size) override {
    std::size_t moved = 0;
    const int done = SSL_read_ex(session_.get(), to, size, &moved);
    return result(done, moved);
  }
  Moved write(const char* from, std::size_t size) override {
    std::size_t moved = 0;
    const int done = SSL_write_ex(session_.get(), from, size, &moved);
    return result(done, moved);
  }
  void end_writing() override {
    if (SSL_is_init_finished(session_.get()) == 1) (void)SSL_shutdown(session_.get());
    ERR_clear_error();
  }
  [[nodiscard]] std::string problem() const override { return problem_; }

 private:
  Moved result(int done, std::size_t moved) {
    if (done == 1) return {Moved::State::kSome, moved};
    const int error = SSL_get_error(session_.get(), done);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return {Moved::State::kLater};
    if (error == SSL_ERROR_ZERO_RETURN) return {Moved::State::kEnd};
    problem_ = reason();
    ERR_clear_error();
    return {Moved::State::kFailed};
  }
  [[nodiscard]] std::string reason() const {
    const long verified = SSL_get_verify_result(session_.get());
    if (verified != X509_V_OK)
      return std::string("the certificate of the host is not trusted: ") + X509_verify_cert_error_string(verified);
    const char* text = ERR_reason_error_string(ERR_peek_error());
    return text != nullptr ? std::string("TLS failed: ") + text : "";
  }

  TlsKit::Session session_;
  std::string problem_;
};

}  // namespace

std::unique_ptr<Stream> tls_stream(TlsKit::Session session) {
  return std::make_unique<TlsStream>(std::move(session));
}

}  // namespace clawrun::gateway
